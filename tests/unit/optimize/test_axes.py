from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whet.core.spec import TensorSpec
from whet.optimize.axes import canonical_specs, canonical_symbols, resized

SYMBOLS = st.one_of(st.integers(1, 9), st.text("abN_0.-*", min_size=1, max_size=5))
SPECS = st.lists(
    st.tuples(st.sampled_from(["float32", "int64"]), st.lists(SYMBOLS, min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
).map(lambda found: tuple(TensorSpec(f"x{i}", d, tuple(s)) for i, (d, s) in enumerate(found)))


def test_every_leading_symbol_becomes_one_batch() -> None:
    specs = (
        TensorSpec("input_ids", "int64", ("s18", "s41")),
        TensorSpec("attention_mask", "int64", ("N", "length")),
        TensorSpec("scale", "float32", ("batch_size",)),
    )
    assert [s.shape for s in canonical_specs(specs)] == [
        ("batch", "sequence"),
        ("batch", "sequence"),
        ("batch",),
    ]


def test_float_matrices_keep_their_second_symbol() -> None:
    (spec,) = canonical_specs((TensorSpec("x", "float32", ("n", "frames")),))
    assert spec.shape == ("batch", "frames")


def test_odd_symbols_become_words_without_clashes() -> None:
    specs = (TensorSpec("x", "float32", ("n", "2*w", "batch")),)
    assert canonical_symbols(specs) == {"n": "batch", "2*w": "n_2_w", "batch": "batch_2"}


@given(SPECS)
def test_canonical_names_are_words_and_doing_it_twice_changes_nothing(
    specs: tuple[TensorSpec, ...],
) -> None:
    once = canonical_specs(specs)
    assert all(d.isidentifier() for s in once for d in s.shape if isinstance(d, str))
    assert canonical_specs(once) == once
    assert [len(s.shape) for s in once] == [len(s.shape) for s in specs]


def test_resized_repeats_and_cuts_real_values() -> None:
    specs = (TensorSpec("ids", "int64", ("batch", "sequence")),)
    ids = np.arange(6).reshape(2, 3)
    got = resized(specs, {"ids": ids}, {"batch": 3, "sequence": 2})["ids"]
    assert got.tolist() == [[0, 1], [3, 4], [0, 1]]

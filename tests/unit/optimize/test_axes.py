from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.spec import TensorSpec
from whet.optimize.axes import canonical_specs, canonical_symbols, resized, told_apart

SYMBOLS = st.one_of(st.integers(1, 9), st.text("abN_0.-*", min_size=1, max_size=5))
SPECS = st.lists(
    st.tuples(st.sampled_from(["float32", "int64"]), st.lists(SYMBOLS, min_size=1, max_size=4)),
    min_size=1,
    max_size=4,
).map(lambda found: tuple(TensorSpec(f"x{i}", d, tuple(s)) for i, (d, s) in enumerate(found)))


def test_every_leading_symbol_becomes_one_batch() -> None:
    specs = (
        TensorSpec("input_ids", "int64", ("s18", "s41")),
        TensorSpec("attention_mask", "int64", ("N", "s41")),
        TensorSpec("scale", "float32", ("batch_size",)),
    )
    assert [s.shape for s in canonical_specs(specs)] == [
        ("batch", "sequence"),
        ("batch", "sequence"),
        ("batch",),
    ]


TOWERS = (
    TensorSpec("src", "int64", ("batch", "src_len")),
    TensorSpec("src_mask", "int64", ("batch", "src_len")),
    TensorSpec("tgt", "int64", ("batch", "tgt_len")),
)


def test_lengths_that_a_model_states_as_different_stay_different() -> None:
    assert canonical_symbols(TOWERS) == {
        "batch": "batch",
        "src_len": "sequence",
        "tgt_len": "sequence_2",
    }
    named = canonical_specs(TOWERS)
    assert canonical_specs(named[::-1]) == named[::-1]  # in whatever order they come later


def test_lengths_that_are_equal_in_all_samples_are_one_whatever_they_are_called() -> None:
    specs = tuple(
        TensorSpec(name, "int64", ("batch", symbol))
        for name, symbol in (("input_ids", "seq"), ("attention_mask", "seq_1"), ("tgt", "other"))
    )

    def found(*sizes: int | str) -> list[str]:
        samples = [
            TensorSpec(spec.name, "int64", ("batch", size))
            for spec, size in zip(specs, sizes, strict=True)
        ]
        names = canonical_symbols(specs, samples)
        return [names[str(spec.shape[1])] for spec in specs]

    assert found("length", "length", "length_2") == ["sequence", "sequence", "sequence_2"]
    # One size in all samples doesn't show that it is one in all requests.
    assert found(12, 12, 12) == ["sequence", "sequence_2", "sequence_3"]


@pytest.mark.parametrize("form", ["{}_1", "{}_dynamic_axes_2"])
def test_axes_without_a_name_are_one_unless_the_samples_differ(form: str) -> None:
    specs = tuple(
        TensorSpec(name, "int64", ("batch", form.format(name))) for name in ("ids", "mask", "tgt")
    )
    one = canonical_symbols(specs)
    assert [one[spec.shape[1]] for spec in specs] == ["sequence"] * 3
    for lengths in ((12, 12, 7), ("length", "length", "length_2")):
        samples = [
            TensorSpec(spec.name, "int64", ("batch", size))
            for spec, size in zip(specs, lengths, strict=True)
        ]
        found = canonical_symbols(specs, samples)
        assert [found[spec.shape[1]] for spec in specs] == ["sequence", "sequence", "sequence_2"]


def test_an_axis_without_a_name_is_that_of_another_input_that_has_one() -> None:
    specs = (
        TensorSpec("mask", "int64", ("batch", "mask_1")),
        TensorSpec("ids", "int64", ("batch", "tokens")),
    )
    assert canonical_symbols(specs) == {
        "batch": "batch",
        "mask_1": "sequence",
        "tokens": "sequence",
    }


def sized(*lengths: tuple[int, int, int]) -> list[dict[str, np.ndarray]]:
    return [
        {spec.name: np.zeros((1, size)) for spec, size in zip(TOWERS, row, strict=True)}
        for row in lengths
    ]


def test_readers_symbols_are_told_apart_by_the_rows() -> None:
    read = tuple(TensorSpec(s.name, s.dtype, ("batch", "length")) for s in TOWERS)
    assert told_apart(read, sized((3, 3, 3), (5, 5, 5))) == read
    found = told_apart(read, sized((3, 3, 3), (5, 5, 4)))
    assert [spec.shape[1] for spec in found] == ["length", "length", "length_2"]
    found = told_apart(read, iter(sized((3, 4, 5))))
    assert [spec.shape[1] for spec in found] == ["length", "length_2", "length_3"]


def test_fixed_sizes_and_single_symbols_need_no_row() -> None:
    def never() -> Iterator[dict[str, np.ndarray]]:
        raise AssertionError("read")
        yield {}

    specs = (
        TensorSpec("ids", "int64", ("batch", "length")),
        TensorSpec("picture", "float32", ("batch", 3, 8)),
    )
    assert told_apart(specs, never()) == specs


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

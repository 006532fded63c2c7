"""How large the values around a number are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.measure.scales import scales_of

RNG = np.random.default_rng(4)
WHOLE = slice(None)


@given(st.integers(0, 2**32 - 1), st.integers(1, 50))
@settings(max_examples=25)
def test_reading_in_chunks_changes_nothing(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    output = rng.normal(size=(50, 6, 7)) * 10.0 ** rng.integers(-3, 4, (1, 6, 1))
    output[rng.random(output.shape) < 0.2] = -1e9
    chunks = [slice(i, i + rows) for i in range(0, 50, rows)]
    whole = scales_of(output, [WHOLE]).of(WHOLE, output.shape)
    known = scales_of(output, chunks)
    parts = [known.of(part, output[part].shape) for part in chunks]
    assert np.array_equal(np.concatenate(parts), whole)
    assert whole.max() < 1e5, "masks count for nothing"


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_unit_changes_nothing_where_nothing_is_masked(unit: float) -> None:
    output = RNG.normal(size=(40, 12))
    scales = scales_of(output, [WHOLE]).of(WHOLE, output.shape)
    other = scales_of(output * unit, [WHOLE]).of(WHOLE, output.shape)
    assert other == pytest.approx(scales * unit, rel=1e-9)


def test_of_shares_the_largest_counts() -> None:
    raised = np.exp(RNG.normal(0, 6, size=(40, 100)))
    shares = raised / raised.sum(axis=1, keepdims=True)
    assert (scales_of(shares, [WHOLE]).of(WHOLE, shares.shape) == shares.max()).all()


def test_an_output_of_zeros_or_of_no_numbers_has_a_scale() -> None:
    for value in (0.0, np.inf):
        nothing = np.full((9, 3), value)
        assert (scales_of(nothing, [WHOLE]).of(WHOLE, (9, 3)) > 0).all()

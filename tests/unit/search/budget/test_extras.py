from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.search.budget.budget import closing_reserve_s, race_s
from whet.search.budget.extras import (
    COLD_STARTS,
    affords_torch,
    cold_starts_that_fit,
    cut_short_notes,
    layers_fit,
    left_out,
)

_LEFT = st.floats(0, 1000)


def test_a_spent_budget_leaves_out_all_that_decides_nothing() -> None:
    """Set-up took 85 s of 50: the race is cut to 5 s, of the engines alone."""
    assert not affords_torch(0.0, 2, 50.0)
    assert not layers_fit(0.0, 1)
    assert cold_starts_that_fit(0.0, 1) == 0
    assert race_s(0.0, 2, total_s=50.0) == 5.0
    (note,) = cut_short_notes(0.0, 2, 50.0)
    assert "cut to its least, 5 s" in note.reason
    assert "nearly spent" in left_out("layers").reason


@pytest.mark.parametrize("total_s", [None, 900.0, 300.0])
def test_a_long_budget_that_kept_its_reserve_has_it_all(total_s: float | None) -> None:
    left_s = math.inf if total_s is None else closing_reserve_s(0.0, total_s)
    assert affords_torch(left_s, 4, total_s)
    assert cut_short_notes(left_s, 4, total_s) == ()
    assert layers_fit(12.0, 2)
    assert cold_starts_that_fit(12.0, 2) == COLD_STARTS


@given(_LEFT, st.integers(1, 8), st.sampled_from([None, 30.0, 60.0, 900.0]))
def test_more_time_never_leaves_out_more(left_s: float, count: int, total_s: float | None) -> None:
    more_s = left_s + 5
    assert affords_torch(left_s, count, total_s) <= affords_torch(more_s, count, total_s)
    assert layers_fit(left_s, count) <= layers_fit(more_s, count)
    assert cold_starts_that_fit(left_s, count) <= cold_starts_that_fit(more_s, count)
    shorter = bool(cut_short_notes(left_s, count, total_s))
    assert shorter >= bool(cut_short_notes(more_s, count, total_s))


@given(_LEFT, st.integers(1, 8))
def test_what_is_not_left_out_fits(left_s: float, finalists: int) -> None:
    packing_s = 1.5 * finalists
    starts = cold_starts_that_fit(left_s, finalists)
    if starts:
        assert packing_s + 1.5 * (1 + starts) + 1.0 <= left_s
    if layers_fit(left_s, finalists):
        assert packing_s + 2.5 <= left_s

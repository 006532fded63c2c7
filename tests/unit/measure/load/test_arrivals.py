"""Schedules: as many requests as asked for, spread as asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.errors import OptionError
from whet.measure.load.arrivals import bursts, evenly, poisson, traced

RATES, TIMES = st.floats(1, 500), st.floats(0.5, 20)


@given(RATES, TIMES, st.integers(0, 5))
def test_schedules_are_in_order_and_within_their_time(
    rate: float, seconds: float, seed: int
) -> None:
    for due in (evenly(rate, seconds), poisson(rate, seconds, seed), bursts(rate, seconds, seed)):
        assert (np.diff(due) >= 0).all()
        assert ((due >= 0) & (due < seconds)).all()


@pytest.mark.parametrize("make", [poisson, bursts])
def test_the_mean_rate_is_kept(make: object) -> None:
    assert callable(make)
    due = make(200.0, 50.0, 1)
    assert len(due) == pytest.approx(10_000, rel=0.05)


def test_poisson_gaps_are_exponential() -> None:
    gaps = np.diff(poisson(100.0, 200.0, 3))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)


def test_bursts_come_in_bursts() -> None:
    due = bursts(100.0, 50.0, 2, peak=4.0, period_s=1.0)
    inside = (due % 1.0) < 0.9 / 3.9
    rates = (inside.sum() / 0.9 * 3.9 / 50, (~inside).sum() / (1 - 0.9 / 3.9) / 50)
    assert rates[0] == pytest.approx(400, rel=0.05)
    assert rates[1] == pytest.approx(10, rel=0.2)


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert (poisson(50, 2, 7) == poisson(50, 2, 7)).all()
    assert (
        len(poisson(50, 2, 7)) != len(poisson(50, 2, 8))
        or (poisson(50, 2, 7) != poisson(50, 2, 8)).any()
    )


def test_a_trace_is_followed_at_another_speed() -> None:
    assert traced([12.0, 10.0, 11.0], faster=2.0).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    "call",
    [
        lambda: evenly(0, 1),
        lambda: poisson(1, 0, 0),
        lambda: poisson(float("nan"), 1, 0),
        lambda: bursts(1, 1, 0, peak=1.0),
        lambda: bursts(1, 1, 0, period_s=0),
        lambda: traced([]),
        lambda: traced([1.0, float("nan")]),
        lambda: traced([1.0], faster=0),
    ],
)
def test_what_never_comes_is_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(OptionError):
        call()

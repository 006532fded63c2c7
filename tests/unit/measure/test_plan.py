from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.measure.plan import ClockPlan, Race, Turn, latency_of, restarts_that_fit, turn_seconds


def turns(*restarts: list[list[float]]) -> list[list[Turn]]:
    return [[Turn(np.array(ms), sum(ms) / 1e3) for ms in restart] for restart in restarts]


def test_full_plan_can_prove_its_percentile() -> None:
    for percentile, needed in ((99.0, 1307), (90.0, 127), (99.9, 13_105)):
        plan = ClockPlan.full(percentile=percentile)
        assert plan.restarts * plan.rounds * plan.queries_per_round >= needed
        assert plan.restarts == 5
    assert ClockPlan.full(concurrency=4).queries_per_round == 4 * ClockPlan.full().queries_per_round


def test_quick_plan_is_short() -> None:
    plan = ClockPlan.quick(batch=8, percentile=90.0, seed=3)
    assert (plan.batch, plan.percentile, plan.seed, plan.restarts) == (8, 90.0, 3, 2)
    assert plan.restarts * plan.rounds * plan.queries_per_round < 459


def test_latency_pools_all_turns() -> None:
    found = latency_of(
        turns([[1.0] * 10, [2.0] * 10], [[3.0] * 10, [3.0] * 10]), ClockPlan(batch=2)
    )
    assert found.queries == 40
    assert found.mean_ms == pytest.approx(2.25)
    assert found.max_ms == 3.0
    assert found.restart_spread == pytest.approx(1.0)  # medians 1.5 and 3
    assert found.throughput_per_s == pytest.approx(2 * 40 / 0.09)
    p50 = found.at(50)
    assert p50 is not None
    assert p50.value_ms == 2.0


def raced(slow: list[list[float]], fast: list[list[float]], unrest: str = "") -> Race:
    plan = ClockPlan()
    both = {
        "slow": turns(*[[[ms] * 3 for ms in restart] for restart in slow]),
        "fast": turns(*[[[ms] * 3 for ms in restart] for restart in fast]),
    }
    latency = {name: latency_of(each, plan) for name, each in both.items()}
    return Race(plan, both, latency, {}, {}, unrest)


def test_ratio_is_noisy_only_where_no_winner_can_be_called() -> None:
    clear = raced([[2.0] * 5] * 3, [[1.0] * 5] * 3).ratio("slow", "fast")
    assert (clear.value, clear.noisy) == (pytest.approx(2.0), False)
    equal = raced([[1.0] * 5] * 3, [[1.001] * 5] * 3).ratio("slow", "fast")
    assert not equal.noisy  # narrow: they are equal, and that is known
    wild = raced([[1.0, 1.5, 0.7, 1.2, 0.9]] * 3, [[1.1, 0.9, 1.3, 0.8, 1.0]] * 3)
    assert wild.ratio("slow", "fast").noisy


def test_an_unquiet_machine_leaves_only_large_differences_standing() -> None:
    near = raced([[1.05] * 5] * 3, [[1.0] * 5] * 3, "others were busy")
    assert near.ratio("slow", "fast").noisy
    far = raced([[3.0] * 5] * 3, [[1.0] * 5] * 3, "others were busy")
    assert not far.ratio("slow", "fast").noisy


def test_restarts_that_differ_leave_only_large_differences_standing() -> None:
    """Both were slower in the second restart, so their ratio is the same in each."""
    near = raced([[1.05] * 5, [1.26] * 5], [[1.0] * 5, [1.2] * 5])
    assert near.ratio("slow", "fast").noisy
    far = raced([[3.0] * 5, [3.6] * 5], [[1.0] * 5, [1.2] * 5])
    assert not far.ratio("slow", "fast").noisy


def test_tails_are_compared_at_the_highest_percentile_that_both_can_give() -> None:
    few = raced([[2.0] * 10] * 5, [[1.0] * 10] * 5)  # 150 queries of each
    found = few.tail("slow", "fast")
    assert found is not None
    assert (found.q, found.against) == (95.0, "slow")
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    assert few.tail("slow", "absent") is None
    assert raced([[2.0]], [[1.0]]).tail("slow", "fast") is None
    enough = raced([[2.0] * 40] * 5, [[1.0] * 40] * 5).tail("slow", "fast")
    assert enough is not None
    assert enough.q == 99.0


def test_one_restart_is_not_enough_for_a_small_difference() -> None:
    assert raced([[1.05] * 5], [[1.0] * 5]).ratio("slow", "fast").noisy
    assert not raced([[1.05] * 5] * 2, [[1.0] * 5] * 2).ratio("slow", "fast").noisy


@given(st.integers(1, 9), st.floats(0.1, 1000), st.floats(0, 1000))
def test_restarts_leave_half_of_the_time_for_turns(
    planned: int, seconds: float, start: float
) -> None:
    fitting = restarts_that_fit(planned, seconds, start)
    assert min(2, planned) <= fitting <= planned
    assert fitting <= 2 or fitting * start <= seconds / 2 + 1e-6


def test_turns_share_what_is_left() -> None:
    assert turn_seconds(40.0, 4, 2.0, 10) == pytest.approx((40 - 6) / 4 / 10)
    assert turn_seconds(1.0, 4, 2.0, 10) == 1e-3
    assert turn_seconds(5.0, 1, 2.0, 0) == 5.0

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.core.evidence import Percentile, Verdict
from whet.measure.statistics import design_effect, limit_verdict, percentiles

Floats = NDArray[np.float64]


def alone(ms: Floats, *wanted: float) -> tuple[Percentile, ...]:
    """Of queries that belong to no turns."""
    return percentiles([[ms]], wanted)


def upto(n: int) -> Floats:
    return np.arange(1, n + 1, dtype=np.float64)


def test_percentiles_stay_out_where_queries_are_too_few() -> None:
    assert [p.q for p in alone(upto(458), 50, 90, 99)] == [50, 90]
    shown = alone(upto(459), 99, 50, 99)
    assert [p.q for p in shown] == [50, 99]
    assert shown[1].value_ms == 455  # ceil(0.99 * 459)
    assert shown[1].low_ms is not None
    assert shown[1].high_ms == 459


def test_percentile_rank_never_rounds_up_past_its_place() -> None:
    (shown,) = alone(upto(1000), 90)
    assert shown.value_ms == 900


@given(st.integers(7, 3000), st.sampled_from([50.0, 90.0, 95.0, 99.0]))
@settings(max_examples=60)
def test_the_interval_holds_the_limits_that_are_neither_proved_nor_refuted(
    n: int, percentile: float
) -> None:
    for found in alone(upto(n), percentile):
        assert found.low_ms is not None
        assert found.high_ms is not None
        assert found.low_ms <= found.value_ms <= found.high_ms
        proved = n - int(found.high_ms)
        assert limit_verdict(n, proved, percentile) is Verdict.PASSED
        assert limit_verdict(n, proved + 1, percentile) is Verdict.UNDECIDED
        refuted = n - int(found.low_ms) + 1
        assert limit_verdict(n, refuted, percentile) is Verdict.FAILED
        assert limit_verdict(n, refuted - 1, percentile) is Verdict.UNDECIDED


def test_a_single_miss_is_no_clump_and_even_misses_are_none() -> None:
    assert design_effect([[0, 1, 0], [0, 0, 0]], [[9, 30, 30], [30, 30, 30]]) == 1.0
    assert design_effect([[2, 2], [2, 2]], [[30, 30], [30, 30]]) == 1.0
    assert design_effect([[0]], [[30]]) == 1.0


def test_misses_in_one_turn_count_once() -> None:
    """Twelve late queries of one turn of fifty say as much as one."""
    misses = [[12 if (r, t) == (0, 0) else 0 for t in range(10)] for r in range(5)]
    queries = [[30] * 10 for _ in range(5)]
    assert design_effect(misses, queries) >= 12
    turns = [misses[0] + misses[1]], [queries[0] + queries[1]]
    assert design_effect(*turns) == pytest.approx(12, rel=0.05)  # one restart: its turns alone


@given(st.integers(1, 5), st.integers(1, 8), st.randoms(use_true_random=False), st.floats(0.01, 9))
@settings(max_examples=50)
def test_the_interval_scales_with_the_times_and_forgets_the_order(
    restarts: int, rounds: int, random: object, factor: float
) -> None:
    rng = np.random.default_rng(restarts * 100 + rounds)
    turned = [[rng.exponential(size=40) for _ in range(rounds)] for _ in range(restarts)]
    found = percentiles(turned, (50.0, 90.0))
    shuffled = [[rng.permutation(factor * ms) for ms in restart] for restart in turned[::-1]]
    for one, other in zip(found, percentiles(shuffled, (50.0, 90.0)), strict=True):
        assert other.value_ms == pytest.approx(factor * one.value_ms)
        for mine, its in ((one.low_ms, other.low_ms), (one.high_ms, other.high_ms)):
            assert (mine is None) == (its is None)
            if mine is not None:
                assert its == pytest.approx(factor * mine)


@pytest.mark.parametrize(
    ("spread", "independent_at_least", "most"), [(0.0, 0.0, 0.02), (0.7, 0.25, 0.09)]
)
def test_correlated_restarts_rarely_prove_a_limit_that_is_not_kept(
    spread: float, independent_at_least: float, most: float
) -> None:
    """5 restarts of 10 turns of 500 queries; one in 100 misses, as often as p99 just allows."""
    rng = np.random.default_rng(0)
    queries = [[500] * 10] * 5
    fooled = {"independent": 0, "clumped": 0}
    repeats = 500
    for _ in range(repeats):
        rate = 0.01 * np.exp(spread * rng.normal(size=(5, 1)) - spread**2 / 2)
        misses = rng.binomial(500, np.minimum(rate * np.ones((5, 10)), 1.0)).tolist()
        total = sum(map(sum, misses))
        effect = design_effect(misses, queries)
        fooled["independent"] += limit_verdict(25_000, total, 99) is Verdict.PASSED
        fooled["clumped"] += limit_verdict(25_000, total, 99, effect) is Verdict.PASSED
    assert fooled["independent"] / repeats >= independent_at_least
    assert fooled["clumped"] / repeats <= most


@given(st.integers(1, 4), st.integers(0, 10_000), st.floats(0.0, 0.5))
@settings(max_examples=50)
def test_the_ends_of_higher_percentiles_never_lie_below_those_of_lower_ones(
    restarts: int, seed: int, spread: float
) -> None:
    """Few misses show little of a clump; the many of a lower percentile do."""
    rng = np.random.default_rng(seed)
    own = np.exp(spread * rng.normal(size=(restarts, 1, 1)))
    turned = [list(each) for each in own * rng.gamma(9, size=(restarts, 10, 100))]
    found = percentiles(turned, (50.0, 90.0, 95.0, 99.0))
    for below, above in pairwise(found):
        assert (below.high_ms or np.inf) <= (above.high_ms or np.inf)
        assert (below.low_ms or 0.0) <= (above.low_ms or 0.0)
    # What is asked for alone is the same.
    assert percentiles(turned, (99.0,)) == found[-1:]


def test_two_restarts_that_differ_leave_a_high_percentile_open_as_well() -> None:
    rng = np.random.default_rng(3)
    turned = [[factor * rng.normal(1, 0.01, 500) for _ in range(5)] for factor in (1.0, 1.1)]
    (found,) = percentiles(turned, (99.0,))
    assert found.high_ms == max(ms.max() for restart in turned for ms in restart)


def test_a_limit_well_above_the_tail_is_proved_in_spite_of_clumps() -> None:
    """Only misses of that limit count, not how restless the latency is below it."""
    rng = np.random.default_rng(1)
    turned = np.exp(0.3 * rng.normal(size=(5, 10, 1))) * rng.uniform(1, 2, (5, 10, 30))
    (found,) = percentiles([list(restart) for restart in turned], (99.0,))
    assert found.high_ms is not None
    assert found.high_ms <= turned.max()


@given(
    st.integers(1, 5),
    st.integers(20, 200),
    st.integers(0, 10_000),
    st.floats(0.0, 3.0),
    st.sampled_from([50.0, 90.0, 99.0]),
)
@settings(max_examples=100)
def test_every_percentile_has_both_ends_however_the_restarts_differ(
    restarts: int, queries: int, seed: int, spread: float, percentile: float
) -> None:
    """A limit that every query missed is refuted, one that none missed is kept: no clump is left."""
    rng = np.random.default_rng(seed)
    slow = np.exp(spread * rng.normal(size=(restarts, 1, 1)))
    turned = slow * rng.uniform(1, 2, (restarts, 3, queries))
    for found in percentiles([list(restart) for restart in turned], (percentile,)):
        assert found.low_ms is not None
        assert found.high_ms is not None
        assert turned.min() <= found.low_ms <= found.value_ms <= found.high_ms <= turned.max()

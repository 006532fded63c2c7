from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.core.evidence import Verdict
from whet.measure.statistics import (
    binomial_lower,
    binomial_upper,
    holm,
    limit_verdict,
    mcnemar_exact,
    order_statistic_interval,
    order_statistic_ranks,
    percentiles,
    queries_needed,
)

scipy_stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(
    ("percentile", "needed"),
    [(99, (459, 662, 1307)), (90, (44, 64, 127)), (99.9, (4603, 6636, 13105))],
)
def test_queries_needed_are_those_of_loadgen(
    percentile: float, needed: tuple[int, int, int]
) -> None:
    assert tuple(queries_needed(percentile, misses) for misses in (0, 1, 5)) == needed


def test_limit_is_kept_only_when_the_misses_prove_it() -> None:
    assert limit_verdict(458, 0, 99) is Verdict.UNDECIDED
    assert limit_verdict(459, 0, 99) is Verdict.PASSED
    assert limit_verdict(661, 1, 99) is Verdict.UNDECIDED
    assert limit_verdict(662, 1, 99) is Verdict.PASSED
    assert limit_verdict(1000, 30, 99) is Verdict.FAILED
    assert limit_verdict(0, 0, 99) is Verdict.UNDECIDED


@given(st.integers(1, 3000), st.sampled_from([50, 90, 95, 99]))
@settings(max_examples=80, deadline=None)
def test_ranks_cover_the_percentile_as_promised(n: int, percentile: float) -> None:
    low, high = order_statistic_ranks(n, percentile, 0.95)
    below = scipy_stats.binom(n, percentile / 100)
    # B samples lie below the percentile: the interval misses it when B < low or B >= high.
    if low is not None:
        assert below.cdf(low - 1) <= 0.025 + 1e-12
        assert low == n or below.cdf(low) > 0.025
    if high is not None:
        assert below.sf(high - 1) <= 0.025 + 1e-12
        assert below.sf(high - 2) > 0.025
    else:
        assert below.sf(n - 1) > 0.025


def test_known_ranks() -> None:
    assert order_statistic_ranks(100, 50, 0.95) == (40, 61)
    assert order_statistic_ranks(1000, 99, 0.95) == (983, 997)
    assert order_statistic_ranks(100, 99, 0.95)[1] is None


def test_interval_covers_in_simulation() -> None:
    rng = np.random.default_rng(2)
    truth = -np.log(1 - 0.9)  # p90 of the exponential
    hits = 0
    for _ in range(400):
        low, high = order_statistic_interval(rng.exponential(size=150), 90)
        hits += (low or 0) <= truth <= (high or np.inf)
    assert hits / 400 >= 0.93


def test_percentiles_stay_out_where_queries_are_too_few() -> None:
    ms = np.arange(1, 459, dtype=np.float64)
    assert [p.q for p in percentiles(ms, (50, 90, 99))] == [50, 90]
    ms = np.arange(1, 460, dtype=np.float64)
    shown = percentiles(ms, (99, 50, 99))
    assert [p.q for p in shown] == [50, 99]
    assert shown[1].value_ms == 455  # ceil(0.99 * 459)
    assert shown[1].low_ms is not None
    assert shown[1].high_ms == 459


def test_percentile_rank_never_rounds_up_past_its_place() -> None:
    (shown,) = percentiles(np.arange(1, 1001, dtype=np.float64), (90,))
    assert shown.value_ms == 900


@given(st.integers(1, 2000), st.data())
@settings(max_examples=60, deadline=None)
def test_clopper_pearson_agrees_with_scipy(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    upper = 1.0 if k == n else scipy_stats.beta.ppf(0.95, k + 1, n - k)
    lower = 0.0 if k == 0 else scipy_stats.beta.ppf(0.05, k, n - k + 1)
    assert binomial_upper(k, n, 0.95) == pytest.approx(upper, rel=1e-8)
    assert binomial_lower(k, n, 0.95) == pytest.approx(lower, rel=1e-8)


def test_clopper_pearson_is_stable_at_a_million() -> None:
    assert binomial_upper(0, 1_000_000, 0.95) == pytest.approx(1 - 0.05 ** (1 / 1e6), rel=1e-9)
    assert binomial_upper(500_000, 1_000_000, 0.95) == pytest.approx(0.5008229260505, rel=1e-10)


def test_zero_disagreements_in_300_bound_one_percent() -> None:
    assert 0.0099 < binomial_upper(0, 300, 0.95) < 0.01


def test_holm_known_example_and_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()
    assert holm([0.9, 0.8]) == (1.0, 1.0)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(a <= b <= 1 for a, b in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert mcnemar_exact(0, 0) == 1.0
    assert mcnemar_exact(5, 5) == 1.0
    for losses, gains in ((8, 1), (20, 8), (0, 6)):
        want = scipy_stats.binomtest(losses, losses + gains, 0.5).pvalue
        assert mcnemar_exact(losses, gains) == pytest.approx(want, rel=1e-9)

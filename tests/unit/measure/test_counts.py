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


def test_clumped_misses_prove_what_fewer_queries_would() -> None:
    assert limit_verdict(918, 0, 99, 2.0) is Verdict.PASSED
    assert limit_verdict(916, 0, 99, 2.0) is Verdict.UNDECIDED
    assert limit_verdict(662 * 3, 3, 99, 3.0) is Verdict.PASSED
    assert limit_verdict(1000, 30, 99, 10.0) is Verdict.UNDECIDED


@given(st.integers(1, 2000), st.data())
@settings(max_examples=60)
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

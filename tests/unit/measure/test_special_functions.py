from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.measure.statistics.special import (
    beta_quantile,
    binomial_cdf,
    binomial_tail,
    bisect,
    incomplete_beta,
    normal_quantile,
    student_quantile,
)

scipy_special = pytest.importorskip("scipy.special")
scipy_stats = pytest.importorskip("scipy.stats")


def test_incomplete_beta_agrees_with_scipy_up_to_a_million() -> None:
    rng = np.random.default_rng(0)
    for _ in range(400):
        a, b = (float(10 ** rng.uniform(-0.3, 6)) for _ in range(2))
        mean = a / (a + b)
        spread = np.sqrt(mean * (1 - mean) / (a + b + 1))
        x = float(np.clip(mean + 3 * rng.normal() * spread, 1e-12, 1 - 1e-12))
        assert incomplete_beta(a, b, x) == pytest.approx(
            scipy_special.betainc(a, b, x), rel=1e-9, abs=1e-250
        )


def test_incomplete_beta_at_its_ends() -> None:
    assert incomplete_beta(2, 3, 0.0) == 0.0
    assert incomplete_beta(2, 3, 1.0) == 1.0
    assert incomplete_beta(2, 3, -1.0) == 0.0


@settings(max_examples=100)
@given(st.integers(1, 400), st.data())
def test_binomial_tails_are_complements(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    p = data.draw(st.floats(0.001, 0.999))
    assert binomial_cdf(k - 1, n, p) + binomial_tail(k, n, p) == pytest.approx(1.0, abs=1e-12)
    assert binomial_cdf(k, n, p) == pytest.approx(scipy_stats.binom.cdf(k, n, p), abs=1e-12)


@pytest.mark.parametrize("df", [1, 2, 4, 9.5, 100, 7999])
@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.975, 0.999])
def test_student_quantile_agrees_with_scipy(df: float, p: float) -> None:
    assert student_quantile(p, df) == pytest.approx(scipy_stats.t.ppf(p, df), rel=1e-9, abs=1e-9)


def test_student_quantile_becomes_normal() -> None:
    assert student_quantile(0.95, 1e9) == normal_quantile(0.95)


@given(st.floats(0.001, 0.999), st.floats(0.5, 500), st.floats(0.5, 500))
@settings(max_examples=60)
def test_beta_quantile_inverts(p: float, a: float, b: float) -> None:
    assert incomplete_beta(a, b, beta_quantile(p, a, b)) == pytest.approx(p, abs=1e-9)


def test_bisect_ends_when_floats_do() -> None:
    assert bisect(lambda x: x < 2**0.5, 0.0, 2.0) == pytest.approx(2**0.5, rel=1e-13)
    assert bisect(lambda _: True, 0.0, 1.0) == pytest.approx(1.0)

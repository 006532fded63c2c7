"""Coverage is the product here: how often bounds hold, and where that is less than they say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.measure.statistics import mean_bounds, paired_proportions, samples_needed, shifted

scipy_stats = pytest.importorskip("scipy.stats")

Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def test_no_discordant_pair_still_bounds_the_drop() -> None:
    bounds = paired_proportions(0, 0, 300, 0.95)
    assert bounds.drop == 0.0
    # No gain: the exact bound for a share of which none was seen.
    assert bounds.upper == pytest.approx(1 - 0.05 ** (1 / 300), rel=1e-9)
    assert bounds.lower == pytest.approx(-bounds.upper)


def test_tango_bound_solves_his_equation() -> None:
    losses, gains, n = 40, 25, 900
    upper = paired_proportions(losses, gains, n, 0.95).upper
    # The definition, written out: the restricted maximum-likelihood share of gains, then z.
    a, b = 2 * n, -losses - gains + (2 * n - losses + gains) * upper
    c = -gains * upper * (1 - upper)
    share = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    z = (losses - gains - n * upper) / math.sqrt(n * (2 * share + upper * (1 - upper)))
    assert z == pytest.approx(-1.6448536269514722, abs=1e-8)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(120, 5000))
@settings(max_examples=150)
def test_bounds_enclose_the_drop_and_mirror(losses: int, gains: int, n: int) -> None:
    bounds = paired_proportions(losses, gains, n, 0.95)
    mirrored = paired_proportions(gains, losses, n, 0.95)
    assert bounds.lower <= bounds.drop <= bounds.upper <= 1
    assert bounds.lower == pytest.approx(-mirrored.upper, abs=1e-12)
    assert paired_proportions(losses + 1, gains, n, 0.95).upper > bounds.upper - 1e-12


@pytest.mark.parametrize("n", [100, 400])
@pytest.mark.parametrize("gained", [0.0, 0.002, 0.02])
@pytest.mark.parametrize("drop", [0.005, 0.01, 0.03])
def test_proportion_bound_covers_exactly_summed(n: int, gained: float, drop: float) -> None:
    lost = gained + drop
    most_lost, most_gained = (int(n * p + 9 * math.sqrt(n * p) + 9) for p in (lost, gained))
    covered = 0.0
    for losses in range(most_lost):
        p_losses = scipy_stats.binom.pmf(losses, n, lost)
        p_gains = scipy_stats.binom.pmf(np.arange(most_gained), n - losses, gained / (1 - lost))
        for gains in np.flatnonzero(p_losses * p_gains > 1e-9):
            holds = paired_proportions(losses, int(gains), n, 0.95).upper >= drop
            covered += holds * p_losses * p_gains[gains]
    assert covered >= 0.94


def lognormal(sigma: float) -> tuple[Draw, float]:
    return (lambda rng, n: rng.lognormal(0, sigma, n)), math.exp(sigma**2 / 2)


NORMAL: tuple[Draw, float] = (lambda rng, n: rng.normal(size=n)), 0.0
EXPONENTIAL: tuple[Draw, float] = (lambda rng, n: rng.exponential(size=n)), 1.0
LEFT: tuple[Draw, float] = (lambda rng, n: -rng.lognormal(0, 1, n)), -math.exp(0.5)
HEAVY: tuple[Draw, float] = (lambda rng, n: rng.standard_t(3, n)), 0.0


@pytest.mark.parametrize(
    ("which", "n", "least"),
    [
        (NORMAL, 30, 0.93),
        (EXPONENTIAL, 30, 0.91),
        (EXPONENTIAL, 100, 0.93),
        (lognormal(1.0), 100, 0.90),
        (lognormal(1.0), 400, 0.92),
        (lognormal(1.5), 400, 0.88),
        (lognormal(1.5), 2000, 0.92),
        (LEFT, 100, 0.95),
        (HEAVY, 100, 0.94),
    ],
)
def test_mean_bound_covers_skewed_drops(which: tuple[Draw, float], n: int, least: float) -> None:
    draw, truth = which
    rng = np.random.default_rng(7)
    hits = sum(mean_bounds(draw(rng, n), 0.95).upper >= truth for _ in range(1500))
    assert hits / 1500 >= least


def test_skew_correction_beats_student_where_it_matters() -> None:
    draw, truth = lognormal(1.5)
    rng = np.random.default_rng(8)
    ours = student = 0
    t = scipy_stats.t.ppf(0.95, 99)
    for _ in range(1000):
        drops = draw(rng, 100)
        ours += mean_bounds(drops, 0.95).upper >= truth
        student += drops.mean() + t * drops.std(ddof=1) / 10 >= truth
    assert ours - student > 50


@pytest.mark.parametrize(
    ("sigma", "missed"), [(1.0, 0.09), (1.5, 0.12), (2.0, 0.18)], ids=["one", "more", "most"]
)
def test_heavy_tails_are_missed_as_often_as_the_docs_say_and_by_the_bootstrap_too(
    sigma: float, missed: float
) -> None:
    draw, truth = lognormal(sigma)
    rng = np.random.default_rng(9)
    ours = bootstrap = 0
    for _ in range(1000):
        drops = draw(rng, 100)
        ours += mean_bounds(drops, 0.95).upper < truth
        bootstrap += bootstrap_t(rng, drops) < truth
    assert ours / 1000 == pytest.approx(missed, abs=0.025)
    assert ours <= bootstrap + 15


def bootstrap_t(rng: np.random.Generator, drops: NDArray[np.float64]) -> float:
    drawn = drops[rng.integers(0, len(drops), (300, len(drops)))]
    mean, sd = drops.mean(), drops.std(ddof=1)
    ratios = (drawn.mean(axis=1) - mean) / drawn.std(axis=1, ddof=1)
    return float(mean - sd * np.quantile(ratios, 0.05))


def test_equal_drops_are_their_own_bound() -> None:
    bounds = mean_bounds(np.full(50, 0.25), 0.95)
    assert (bounds.lower, bounds.drop, bounds.upper) == (0.25, 0.25, 0.25)


def test_graded_scores_that_hardly_differ_are_taken_as_counts() -> None:
    drops = np.zeros(300)
    assert mean_bounds(drops, 0.95).upper == 0.0
    assert mean_bounds(drops, 0.95, spread=0.5).upper == pytest.approx(0.5 * 0.00993608, rel=1e-5)
    drops[0] = 0.5
    assert mean_bounds(drops, 0.95, spread=0.5).upper > 0.5 * 0.0157


def test_samples_needed_matches_the_handbook_case() -> None:
    # 4 % discordant, true drop 0.3 pt, allowed 0.76 pt, 95 % and 80 % power: about 11,700.
    n = 1000
    bounds = paired_proportions(22, 18, n, 0.95)
    assert bounds.sd == pytest.approx(0.2, abs=0.001)
    shift = shifted(bounds, 0.0, "")
    needed = samples_needed(type(shift)(0.003, shift.lower, shift.upper, 0.2, ""), n, 0.0076, 0.95)
    assert needed == pytest.approx(11_700, rel=0.01)


def test_samples_needed_with_nothing_discordant() -> None:
    bounds = paired_proportions(0, 0, 100, 0.95)
    needed = samples_needed(bounds, 100, 0.01, 0.95)
    assert needed is not None
    assert 290 <= needed <= 310
    assert samples_needed(bounds, 100, 0.0, 0.95) is None


def test_needed_samples_settle_the_verdict_as_often_as_planned() -> None:
    rng = np.random.default_rng(3)
    lost, gained, allowed = 0.02, 0.015, 0.015
    n = samples_needed(paired_proportions(200, 150, 10_000, 0.95), 10_000, allowed, 0.95)
    assert n is not None
    counts = rng.multinomial(n, [lost, gained, 1 - lost - gained], 400)
    passed = sum(paired_proportions(int(b), int(c), n, 0.95).upper <= allowed for b, c, _ in counts)
    # n is at least what was seen already, so the power is 80 % or more.
    assert passed / 400 >= 0.76


def test_no_number_of_samples_settles_a_spread_beyond_all_bounds() -> None:
    bounds = type(mean_bounds(np.zeros(2), 0.95))(1e99, 1e98, np.inf, np.inf, "")
    assert samples_needed(bounds, 40, 0.01, 0.95) is None

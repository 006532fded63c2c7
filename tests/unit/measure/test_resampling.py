from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.measure.statistics import (
    bootstrap_bounds,
    jackknife_bounds,
    jackknife_groups,
    mean_bounds,
    shifted,
)
from whet.measure.wholeset import F1Cells, SpearmanRanks, spearman

scipy_stats = pytest.importorskip("scipy.stats")
sklearn_metrics = pytest.importorskip("sklearn.metrics")

Weights = NDArray[np.float64]


def ones(n: int) -> Weights:
    return np.ones((1, n))


def test_spearman_agrees_with_scipy_with_ties_and_weights() -> None:
    rng = np.random.default_rng(0)
    a, b = np.round(rng.normal(size=60), 1), np.round(rng.normal(size=60), 1)
    times = rng.integers(0, 4, 60)
    ranks = [SpearmanRanks(values) for values in (a, b)]
    plain = spearman(ranks[0](ones(60)), ranks[1](ones(60)), ones(60))[0]
    assert plain == pytest.approx(scipy_stats.spearmanr(a, b)[0])
    weights = times[None].astype(np.float64)
    drawn = spearman(ranks[0](weights), ranks[1](weights), weights)[0]
    want = scipy_stats.spearmanr(np.repeat(a, times), np.repeat(b, times))[0]
    assert drawn == pytest.approx(want)


def test_spearman_of_a_constant_is_zero() -> None:
    ranks = SpearmanRanks(np.ones(5))(ones(5))
    assert spearman(ranks, SpearmanRanks(np.arange(5.0))(ones(5)), ones(5))[0] == 0.0


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_f1_agrees_with_sklearn_on_any_resample(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels, before, after = rng.integers(0, classes, (3, 200))
    cells = F1Cells(labels, before, after, classes)
    average = "binary" if classes == 2 else "macro"
    whole = cells.counts[None].astype(np.float64)
    old, new = (float(x[0]) for x in cells.scores(whole))
    assert old == pytest.approx(sklearn_metrics.f1_score(labels, before, average=average))
    assert new == pytest.approx(sklearn_metrics.f1_score(labels, after, average=average))
    assert cells.drop(whole)[0] == pytest.approx(old - new)


def test_hidden_f1_drop_is_that_of_the_moved_samples() -> None:
    labels = np.repeat(np.arange(4), [100, 100, 10, 20])
    cells = F1Cells(labels, labels, labels, 4)
    moved = labels.copy()
    moved[200:203] = 3  # of the rarest class, taken for the next rarest
    want = 1 - sklearn_metrics.f1_score(labels, moved, average="macro")
    assert cells.drop_of(3) == pytest.approx(want)


@given(st.lists(st.integers(1, 60), min_size=3, max_size=6), st.integers(1, 5), st.integers(0, 99))
@example([36, 12, 6, 7], 4, 85)  # the class that loses most by each is also the one to swamp
@settings(max_examples=60)
def test_hidden_f1_drop_is_not_beaten_by_losses_from_one_class(
    counts: list[int], lost: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    said = np.where(
        rng.random(len(labels)) < 0.8, labels, rng.integers(0, len(counts), len(labels))
    )
    cells = F1Cells(labels, said, said, len(counts))
    weights = cells.counts[None].astype(np.float64)
    before = float(cells.scores(weights)[0][0])
    for source in range(len(counts)):
        own = np.flatnonzero((labels == source) & (said == source))[:lost]
        after = said.copy()
        after[own] = (source + 1) % len(counts)
        other = F1Cells(labels, after, after, len(counts))
        drop = before - float(other.scores(other.counts[None].astype(np.float64))[0][0])
        assert cells.drop_of(lost) >= drop - 1e-12


def correlation_drop(
    labels: Weights, before: Weights, after: Weights
) -> Callable[[Weights], Weights]:
    ranks = [SpearmanRanks(values) for values in (labels, before, after)]

    def drop(weights: Weights) -> Weights:
        truth, old, new = (rank(weights) for rank in ranks)
        return spearman(truth, old, weights) - spearman(truth, new, weights)

    return drop


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("n", "repeats", "least"),
    [
        (60, 80, 0.87),
        pytest.param(60, 500, 0.92, marks=SLOW),
        pytest.param(200, 500, 0.92, marks=SLOW),
    ],
)
def test_bootstrap_bounds_of_spearman_cover(n: int, repeats: int, least: float) -> None:
    rng = np.random.default_rng(n)

    def draw(size: int) -> tuple[Weights, Weights, Weights]:
        x = rng.normal(size=size)
        return np.round(x + 0.7 * rng.normal(size=size), 1), x, x + 0.1 * rng.standard_t(3, size)

    truth = float(np.mean([correlation_drop(*draw(100_000))(ones(100_000))[0] for _ in range(2)]))
    above = below = 0
    for seed in range(repeats):
        counts = np.ones(n, np.int64)
        bounds = bootstrap_bounds(
            correlation_drop(*draw(n)), counts, 0.95, seed=seed, resamples=300
        )
        above += bounds.upper >= truth
        below += bounds.lower <= truth
    assert above / repeats >= least
    assert below / repeats >= least


@pytest.mark.parametrize(
    ("n", "classes", "changed", "repeats", "least"),
    [
        (300, 5, 0.01, 60, 0.87),
        pytest.param(200, 2, 0.05, 500, 0.93, marks=SLOW),
        pytest.param(200, 10, 0.05, 500, 0.93, marks=SLOW),
        pytest.param(300, 5, 0.01, 500, 0.95, marks=SLOW),
    ],
)
def test_bootstrap_bounds_of_f1_cover(
    n: int, classes: int, changed: float, repeats: int, least: float
) -> None:
    rng = np.random.default_rng(n + classes)

    def draw(size: int) -> F1Cells:
        labels = rng.integers(0, classes, size)
        before = np.where(rng.random(size) < 0.85, labels, rng.integers(0, classes, size))
        moved = np.where(rng.random(size) < 0.5, 0, rng.integers(0, classes, size))
        return F1Cells(labels, before, np.where(rng.random(size) < changed, moved, before), classes)

    large = draw(300_000)
    truth = float(large.drop(large.counts[None].astype(np.float64))[0])
    above = 0
    for seed in range(repeats):
        cells = draw(n)
        bounds = bootstrap_bounds(cells.drop, cells.counts, 0.95, seed=seed, resamples=300)
        above += shifted(bounds, cells.drop_of(-math.log(0.05)), "").upper >= truth
    assert above / repeats >= least


def test_bootstrap_is_seeded_and_quiet_on_equal_models() -> None:
    labels = np.arange(50.0)
    drop = correlation_drop(labels, labels, labels)
    bounds = bootstrap_bounds(drop, np.ones(50, np.int64), 0.95, seed=1)
    assert (bounds.lower, bounds.drop, bounds.upper) == (0.0, 0.0, 0.0)
    rng = np.random.default_rng(0)
    other = correlation_drop(labels, labels, labels + rng.normal(size=50) * 9)
    twice = [bootstrap_bounds(other, np.ones(50, np.int64), 0.95, seed=4) for _ in range(2)]
    assert twice[0] == twice[1]


def test_bootstrap_of_a_mean_agrees_with_the_mean_bound() -> None:
    drops = np.random.default_rng(1).exponential(size=500)
    counts = np.ones(500, np.int64)
    bounds = bootstrap_bounds(lambda w: w @ drops / w.sum(axis=1), counts, 0.95, seed=0)
    assert bounds.upper == pytest.approx(mean_bounds(drops, 0.95).upper, rel=0.02)
    assert bounds.sd == pytest.approx(drops.std(), rel=0.1)


def test_jackknife_groups_leave_out_each_sample_once() -> None:
    kept = jackknife_groups(173, seed=2)
    assert len(kept) == 13
    assert len(jackknife_groups(5, 0)) == 5
    assert len(jackknife_groups(100_000, 0)) == 50
    left_out = np.concatenate([np.setdiff1d(np.arange(173), group) for group in kept])
    assert sorted(left_out) == list(range(173))


def test_jackknife_covers_a_median() -> None:
    rng = np.random.default_rng(5)
    truth, hits = math.log(2) * 0.05, 0

    def drop(pairs: Weights) -> float:
        return float(np.median(pairs[:, 0]) - np.median(pairs[:, 1]))

    for seed in range(150):
        before = rng.exponential(size=300)
        pairs = np.stack([before, 0.95 * before], axis=1)
        without = np.array([drop(pairs[kept]) for kept in jackknife_groups(300, seed)])
        hits += jackknife_bounds(drop(pairs), without, 300, 0.95).upper >= truth
    assert hits / 150 >= 0.88  # the hard case: a median, and differences without any noise

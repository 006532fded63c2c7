"""Which stages and thresholds make the quickest cascade that keeps the floor; pure.

Theory of operation. The select samples that all stages answered are split in two. On one part
every cascade of one or two early stages before the original is looked at, over a grid of
thresholds: how long it takes in the mean, and how many answers are lost and gained. Sums over the
grid are cumulative sums of histograms, so all of them are counted exactly, at the cost of one. What
no other beats in both mean and damage is a frontier, and its order depends on nothing else.

On the other part that frontier is walked from the most careful to the boldest, as long as the
one-sided bound of the drop keeps what is allowed. What is first to break it ends the walk, so the
one before keeps the bound although many were looked at (a fixed sequence; Maurer, Hothorn and
Lehmacher 1995). A larger allowance only makes the walk longer: the mean never grows with it.

A query of several rows pays for a stage as soon as one of its rows gets there; the chance of that
is counted, and that fewer rows may take less is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from whet.measure.statistics import Bounds, paired_proportions

__all__ = ["Plan", "Staged", "frontier_of", "plans_within"]

_GRID = 64  # thresholds of a stage
_Z = 1.645  # of the damage by which the frontier is ordered; the walk takes the exact bound

_Bools = NDArray[np.bool_]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Staged:
    """An engine that may be an early stage, on the select samples.

    Attributes:
        name: of it.
        ms: that a query takes.
        right: (n,) whether its answer to each sample is right.
        confidence: (n,) of each answer.
    """

    name: str
    ms: float
    right: _Bools
    confidence: _Floats


@dataclass(frozen=True)
class Plan:
    """Early stages in their order, and what of them was seen.

    Attributes:
        stages: their places in the list that was given.
        thresholds: of each.
        mean_ms: that a query is expected to take.
        damage: by which the frontier is ordered, in samples.
        measure: of confidence, as a place in the list that was given.
        bounds: of the drop, on the samples that chose nothing; ``None`` before they were asked.
    """

    stages: tuple[int, ...]
    thresholds: tuple[float, ...]
    mean_ms: float
    damage: float
    measure: int = 0
    bounds: Bounds | None = None


@dataclass(frozen=True)
class _Grid:
    """One stage on the samples that choose: thresholds, and how many of them each row reaches."""

    thresholds: _Floats
    reached: NDArray[np.int64]
    lost: _Bools
    gained: _Bools


def plans_within(
    candidates: Sequence[Sequence[Staged]],
    last_right: _Bools,
    last_ms: float,
    choosing: _Bools,
    *,
    allowed: float,
    confidence: float,
    below_ms: float,
    batch: int = 1,
) -> list[Plan]:
    """The cascades whose drop is bounded by what is allowed, the most careful first.

    The last is the quickest.

    Args:
        candidates: the same engines by each measure of confidence.
        last_right: (n,) whether the original, which is the last stage, is right.
        last_ms: that a query takes there.
        choosing: (n,) the samples that choose; the others check.
        allowed: drop of the share of right answers.
        confidence: of its one-sided bound.
        below_ms: what the best engine takes by itself: no slower cascade is of use.
        batch: rows of a query.
    """
    found = [
        replace(plan, measure=measure)
        for measure, stages in enumerate(candidates)
        for plan in frontier_of(
            [_part(s, choosing) for s in stages], last_right[choosing], last_ms, batch=batch
        )
        if plan.mean_ms < below_ms
    ]
    within: list[Plan] = []
    for plan in _undominated(found):
        lost, gained = _changes(plan, candidates[plan.measure], last_right, ~choosing)
        bounds = paired_proportions(lost, gained, int((~choosing).sum()), confidence)
        if bounds.upper > allowed:
            break
        within.append(replace(plan, bounds=bounds))
    return within


def frontier_of(
    stages: Sequence[Staged], last_right: _Bools, last_ms: float, *, batch: int = 1
) -> list[Plan]:
    """The cascades that no other beats in both mean and damage, the most careful first.

    Args:
        stages: that may stand before the last.
        last_right: (n,) whether the last stage is right.
        last_ms: that a query takes there.
        batch: rows of a query.
    """
    if not len(last_right):
        return []
    grids = [_grid(stage, last_right) for stage in stages]
    plans = [p for k, s in enumerate(stages) for p in _single(k, s, grids[k], last_ms, batch)]
    for first, second in permutations(range(len(stages)), 2):
        if stages[first].ms < stages[second].ms:
            plans += _double((first, second), stages, grids, last_ms, batch)
    return _undominated(plans)


def _part(stage: Staged, rows: _Bools) -> Staged:
    return Staged(stage.name, stage.ms, stage.right[rows], stage.confidence[rows])


def _grid(stage: Staged, last_right: _Bools) -> _Grid:
    sure = stage.confidence[stage.confidence >= 0]
    spread = np.quantile(sure, np.linspace(0, 1, _GRID), method="higher") if len(sure) else sure
    thresholds = np.unique(spread)
    reached = np.searchsorted(thresholds, stage.confidence, side="right")
    return _Grid(
        thresholds, reached.astype(np.int64), last_right & ~stage.right, stage.right & ~last_right
    )


def _single(place: int, stage: Staged, grid: _Grid, last_ms: float, batch: int) -> Iterator[Plan]:
    """One early stage, at each threshold."""
    n, size = len(grid.reached), len(grid.thresholds)
    leave, lost, gained = (
        _above(_counts(grid.reached, w, size + 1)) for w in (None, grid.lost, grid.gained)
    )
    mean = stage.ms + last_ms * _reaching((n - leave) / n, batch)
    damage = _damage(lost, gained)
    for k, threshold in enumerate(grid.thresholds):
        yield Plan((place,), (float(threshold),), float(mean[k]), float(damage[k]))


def _double(
    places: tuple[int, int],
    stages: Sequence[Staged],
    grids: Sequence[_Grid],
    last_ms: float,
    batch: int,
) -> list[Plan]:
    """Two early stages, at each pair of thresholds; only those no other of them beats."""
    (one, two), n = (grids[p] for p in places), len(grids[places[0]].reached)
    shape = len(one.thresholds) + 1, len(two.thresholds) + 1
    cell = one.reached * shape[1] + two.reached

    def sums(weights: _Bools | None) -> tuple[_Floats, _Floats]:
        """Of rows that pass the first threshold on: leaving at the second, and passing it too."""
        cells = _counts(cell, weights, shape[0] * shape[1]).reshape(shape)
        passing: _Floats = np.cumsum(np.cumsum(cells, axis=0)[:-1], axis=1)
        return passing[:, -1:] - passing[:, :-1], passing[:, :-1]

    first = [
        _above(_counts(one.reached, w, shape[0]))[:, None] for w in (None, one.lost, one.gained)
    ]
    _, passing = sums(None)
    lost, gained = first[1] + sums(two.lost)[0], first[2] + sums(two.gained)[0]
    second_ms, ms = stages[places[1]].ms, stages[places[0]].ms
    mean = (
        ms
        + second_ms * _reaching((n - first[0]) / n, batch)
        + last_ms * _reaching(passing / n, batch)
    )
    damage = _damage(lost, gained)
    return [
        Plan(
            places,
            (float(one.thresholds[a]), float(two.thresholds[b])),
            float(mean[a, b]),
            float(damage[a, b]),
        )
        for a, b in _best_cells(mean, damage)
    ]


def _counts(cells: NDArray[np.int64], which: _Bools | None, size: int) -> _Floats:
    """How many rows lie in each cell, of all or of some."""
    return np.bincount(cells, which, size).astype(np.float64)


def _above(counts: _Floats) -> _Floats:
    """For each threshold, the sum over rows that reach it."""
    sums: _Floats = np.cumsum(counts[::-1])[::-1][1:]
    return sums


def _reaching(share: _Floats, batch: int) -> _Floats:
    """The share of queries of which a row gets to a stage that a ``share`` of rows gets to."""
    return share if batch == 1 else 1 - (1 - share) ** batch


def _damage(lost: _Floats, gained: _Floats) -> _Floats:
    """The net loss and its error, in samples: many changes are a danger even where they balance."""
    damage: _Floats = lost - gained + _Z * np.sqrt(lost + gained + 1)
    return damage


def _best_cells(mean: _Floats, damage: _Floats) -> list[tuple[int, int]]:
    order = np.lexsort((damage.ravel(), mean.ravel()))
    running = np.minimum.accumulate(damage.ravel()[order])
    better = np.concatenate([[True], running[1:] < running[:-1]])
    rows, columns = np.unravel_index(order[better], mean.shape)
    return [(int(a), int(b)) for a, b in zip(rows, columns, strict=True)]


def _undominated(plans: Sequence[Plan]) -> list[Plan]:
    """Those that no other beats in both mean and damage, the most careful (and slowest) first."""
    kept: list[Plan] = []
    for plan in sorted(plans, key=lambda p: (p.mean_ms, p.damage)):
        if not kept or plan.damage < kept[-1].damage:
            kept.append(plan)
    return kept[::-1]


def _changes(
    plan: Plan, stages: Sequence[Staged], last_right: _Bools, rows: _Bools
) -> tuple[int, int]:
    """Answers lost and gained against the original, on some of the rows."""
    right = last_right.copy()
    for place, threshold in reversed(tuple(zip(plan.stages, plan.thresholds, strict=True))):
        stage = stages[place]
        right = np.where(stage.confidence >= threshold, stage.right, right)
    lost, gained = (last_right & ~right)[rows].sum(), (right & ~last_right)[rows].sum()
    return int(lost), int(gained)

"""Bounds for metrics of the whole set: F1, Spearman's correlation, a user's number.

Theory of operation. Samples are drawn again with replacement, both models
keeping their answers, and the drop is computed anew each time: the paired
bootstrap. Its quantiles are corrected for bias and skew (BCa; Efron, "Better
bootstrap confidence intervals", JASA 82, 1987):

    level = Phi(z0 + (z0 + z) / (1 - a (z0 + z)))

with z0 from the share of resamples below the drop seen, and a from a
grouped jackknife. On small sets BCa still holds a little too rarely (92 to 93
of 100 for Spearman's correlation on 60 to 200 pairs), so its bounds are not allowed inside
those of the jackknife, which costs nothing more. No sample is ever copied: a resample is a row of weights over
*cells* (samples that look the same to the metric), and the metric takes many rows
at once.

A user's function can't take weights. It gets the samples without one group at
a time; the jackknife's pseudo-values are then independent to first order (Tukey 1958)
and `mean_bounds` applies. Groups of sqrt(n) samples keep this right for medians too (Shao and
Wu, "A general theory for jackknife variance estimation", 1989).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whet.measure.statistics.paired import Bounds, mean_bounds, moved
from whet.measure.statistics.special import normal_cdf, normal_quantile

__all__ = ["bootstrap_bounds", "jackknife_bounds", "jackknife_groups"]

Weights = NDArray[np.float64]
Statistic = Callable[[Weights], NDArray[np.float64]]

_CHUNK_BYTES = 8 << 20
_GROUPS = 200
_FEWEST_LEFT_OUT, _MOST_LEFT_OUT = 10, 50


def bootstrap_bounds(
    statistic: Statistic,
    counts: NDArray[np.int64],
    confidence: float,
    *,
    seed: int,
    resamples: int | None = None,
) -> Bounds:
    """Bounds of a drop by the paired BCa bootstrap.

    Args:
        statistic: drops (rows,) from weights (rows, cells).
        counts: samples in each cell.
        confidence: of each one-sided bound.
        seed: of the resampling.
        resamples: 2,000 unless told; 1,000 where the set is large.
    """
    n = int(counts.sum())
    rows = resamples or (2000 if n <= 4000 else 1000)
    rng = np.random.default_rng(seed)
    weights = counts.astype(np.float64)
    drop = float(statistic(weights[None])[0])
    drops = np.concatenate([statistic(chunk) for chunk in _resamples(rng, counts, rows)])
    sd = float(np.std(drops)) * math.sqrt(n)
    method = f"paired BCa bootstrap, {rows} resamples"
    # Rounding alone spreads the drops of identical models by some ulps.
    if sd < 1e-12 * math.sqrt(n):
        return Bounds(drop, drop, drop, 0.0, f"{method}: none differs")
    drops.sort()
    below = np.searchsorted(drops, drop, "left"), np.searchsorted(drops, drop, "right")
    share = min(max(float(sum(below)) / 2 / rows, 1 / rows), 1 - 1 / rows)
    bias = normal_quantile(share)
    without = _left_out(statistic, weights, rng)
    skew = _acceleration(without)
    z = normal_quantile(confidence)
    inner = jackknife_bounds(drop, without, n, confidence)
    return Bounds(
        drop=drop,
        lower=min(_quantile(drops, _level(-z, bias, skew), up=False), inner.lower),
        upper=max(_quantile(drops, _level(z, bias, skew), up=True), inner.upper),
        sd=sd,
        method=f"{method}, not inside the jackknife's bounds",
    )


def _level(z: float, bias: float, skew: float) -> float:
    # Past the pole the correction means nothing; the extreme resample is the safe answer.
    bottom = 1 - skew * (bias + z)
    if bottom <= 0:
        return 1.0 if z > 0 else 0.0
    return normal_cdf(bias + (bias + z) / bottom)


def _quantile(ordered: NDArray[np.float64], level: float, *, up: bool) -> float:
    rank = level * (len(ordered) - 1)
    return float(ordered[math.ceil(rank) if up else math.floor(rank)])


def _resamples(rng: np.random.Generator, counts: NDArray[np.int64], rows: int) -> Iterator[Weights]:
    n, cells = int(counts.sum()), len(counts)
    at_once = max(1, _CHUNK_BYTES // (8 * cells))
    each = cells == n
    for start in range(0, rows, at_once):
        size = min(at_once, rows - start)
        if each:  # one sample a cell: plain draws beat a multinomial of n cells
            drawn = rng.integers(0, n, (size, n)) + np.arange(size)[:, None] * n
            flat = np.bincount(drawn.ravel(), minlength=size * n)
            yield flat.reshape(size, n).astype(np.float64)
        else:
            yield rng.multinomial(n, counts / n, size).astype(np.float64)


def _left_out(
    statistic: Statistic, weights: Weights, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The drop without each sample, or without each of 200 groups of a large set."""
    cells = len(weights)
    several = bool(weights.max() > 1)
    if several:  # leaving out any sample of a cell gives the same drop: once is enough
        left_out = np.eye(cells)
    else:
        groups = min(cells, _GROUPS)
        left_out = np.eye(groups)[:, rng.permutation(cells) % groups]
    at_once = max(1, _CHUNK_BYTES // (8 * cells))
    values = np.concatenate(
        [
            statistic(weights - left_out[start : start + at_once])
            for start in range(0, len(left_out), at_once)
        ]
    )
    return np.repeat(values, weights.astype(np.int64)) if several else values


def _acceleration(without: NDArray[np.float64]) -> float:
    """Skewness of the influence values over six (Efron 1987)."""
    away = without.mean() - without
    square = float(np.sum(away**2))
    return float(np.sum(away**3)) / (6 * square**1.5) if square > 0 else 0.0


def jackknife_groups(n: int, seed: int) -> list[NDArray[np.intp]]:
    """The indices that stay when each group is left out; 10 to 50 groups, of about sqrt(n)."""
    groups = min(n, _MOST_LEFT_OUT, max(_FEWEST_LEFT_OUT, math.isqrt(n)))
    member = np.random.default_rng(seed).permutation(n) % groups
    return [np.flatnonzero(member != group) for group in range(groups)]


def jackknife_bounds(
    drop: float, without: NDArray[np.float64], n: int, confidence: float
) -> Bounds:
    """Bounds of a drop from its values ``without`` each group, over ``n`` samples."""
    groups = len(without)
    pseudo = groups * drop - (groups - 1) * without
    bounds = mean_bounds(pseudo, confidence)
    return replace(
        moved(bounds, drop - bounds.drop),
        sd=bounds.sd * math.sqrt(n / groups),
        method=f"grouped jackknife, {groups} groups, Student's t with Hall's correction",
    )

"""How near each number of an output is to the original's: for outputs that nobody explained; pure.

Theory of operation. Without labels and without a word on what a network is for, neither its
first choice (boxes aren't class scores) nor a direction (a cosine sees no scale, and of a single
number only the sign) can stand for its answer. What holds for any meaning is the relative error
of every number, each by its own yardstick:

    loss_ij = |c_ij - r_ij| / S_j,    S_j = mean over i of |r_ij - mean(r_j)|.

An answer that ignores its input costs 1. The mean loss of every number must keep what is allowed,
so that no small one hides behind a large one; then no correction for their count is needed
(intersection-union test; Berger 1982). That takes every number's own bound: the one with the
largest mean on these samples may be steady while another, rarely and badly wrong, is worse in
truth. The bounds come from sums of powers, so that one pass in chunks finds them all. S_j is an
estimate from the same samples; its error is heeded (`RatioMoments`), that of the mean in it too:
to first order S_j moves with the mean by P(r_j < mean) - P(r_j > mean), which is much for a number
that is mostly zero.

A number that hardly varies is measured against its own size, one that is always zero against the
mean yardstick of the others. No yardstick is below a ten-thousandth of the usual one: what is left
in a number that is next to nothing among the others is the rounding of these. Of whole numbers
the share that differs is the loss; that it isn't a constant's is seen to by
`whet.measure.constant`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whet.errors import SamplesError
from whet.measure.chunks import by_sample, differing, row_chunks
from whet.measure.masks import Masks, masks_of
from whet.measure.statistics import Bounds, RatioMoments, mean_bounds

__all__ = ["closeness_bounds"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

_CONSTANT = 1e-6  # variation below this share of its size is rounding
_LEAST = 1e-4  # share of the median yardstick that none is below


def closeness_bounds(
    want: Array, have: Array, *, rows: int, allowed: float, confidence: float
) -> Bounds:
    """The bounds of the loss of that number of an output which decides (`Moments.deciding`).

    Args:
        want: the original's answers, (rows, ...); where it isn't finite, only the same will do,
            and where it masks by a large number, only one as large.
        have: the candidate's.
        rows: that belong to one sample.
        allowed: the mean loss that each number may have.
        confidence: of each one-sided bound.

    Returns:
        Bounds of a mean loss, which is 0 where equal, 1 for an answer that ignores its input.

    Raises:
        SamplesError: the shapes differ, or hold no values.
    """
    if not want.size:
        raise SamplesError(
            f"An output of shape {want.shape} holds no values to judge.", "Judge another output."
        )
    if want.shape != have.shape:
        raise SamplesError(
            f"Outputs of shapes {want.shape} and {have.shape} can't be compared number by number.",
            "Judge an output that both models give in the same shape.",
        )
    parts = row_chunks(want, rows)
    if want.dtype.kind not in "fc":
        return mean_bounds(differing(want, have, rows), confidence)
    numbers = want[:1].size
    moments, apart = RatioMoments(numbers, allowed), _Apart(want, parts)
    for part in parts:
        found = apart.see(want[part], have[part])
        moments.see(*(by_sample(each, rows) for each in found))
    del apart  # a map's yardsticks are as large as a row of it each
    bounds, _ = moments.limits(confidence).deciding(allowed)
    several = f"{bounds.method}; of {numbers} numbers the one that decides"
    return replace(bounds, method=several) if numbers > 1 else bounds


def _columns(rows: Array) -> Array:
    return rows.reshape(len(rows), -1)


@dataclass(frozen=True)
class _Yardsticks:
    """What the numbers of an output are measured against, each (numbers,).

    Attributes:
        scales: what a difference is divided by.
        means: of the original's.
        spreads: mean distance from them, where that is the scale, else infinite.
        slopes: how the mean distance moves with the mean.
    """

    scales: Floats
    means: Floats
    spreads: Floats
    slopes: Floats


class _Apart:
    """Losses of real numbers.

    Args:
        want: all rows of the original's.
        parts: the chunks to read at once.
    """

    def __init__(self, want: Array, parts: list[slice]) -> None:
        self._masks = masks_of([want[part] for part in parts])
        self._found = _yardsticks(want, parts, self._masks)

    def see(self, want: Array, have: Array) -> tuple[Floats, Floats]:
        """The losses of some rows, (n, numbers), and what each adds to its yardstick, less 1."""
        found, masks = self._found, self._masks
        a, known = masks.told(want)
        b = _columns(have).astype(np.float64)
        unlike = np.zeros_like(known) if known.all() else self._unlike(want, b)
        losses = np.where(np.isfinite(b), b, 0.0)
        losses -= a
        np.abs(losses, out=losses)
        losses /= found.scales
        share = self._shares(a)
        losses[~known], share[~known] = unlike[~known], 0.0
        return losses, share

    def _unlike(self, want: Array, have: Floats) -> NDArray[np.bool_]:
        """Where an answer differs from what has no distance."""
        raw = _columns(want).astype(np.float64)
        found: NDArray[np.bool_] = np.where(
            np.isfinite(raw), self._masks.lost(raw, have), raw != have
        )
        return found

    def _shares(self, values: Floats) -> Floats:
        """What each row adds to the yardsticks, less 1; in place, so few large arrays live at once."""
        found = self._found
        values -= found.means
        tilt = values * found.slopes
        np.abs(values, out=values)
        values += tilt
        values /= found.spreads
        values -= np.isfinite(found.spreads)
        return values


def _yardsticks(want: Array, parts: list[slice], masks: Masks) -> _Yardsticks:
    count, total, size, spread, slope = np.zeros((5, want[:1].size))
    for part in parts:
        values, known = masks.told(want[part])
        count += known.sum(axis=0)
        total += values.sum(axis=0)
        size += np.abs(values).sum(axis=0)
    count = np.maximum(1, count)
    middle = total / count
    for part in parts:
        values, known = masks.told(want[part])
        away = np.where(known, values - middle, 0.0)
        spread += np.abs(away).sum(axis=0)
        slope -= np.sign(away, out=away).sum(axis=0)
        del away, values  # before the next are made
    # Not in place: a row of the array would keep all of it.
    size, spread, slope = size / count, spread / count, slope / count
    scale: Floats = np.where(spread > _CONSTANT * size, spread, size)
    positive = scale[scale > 0]
    if not positive.size:
        return _Yardsticks(np.ones_like(scale), middle, np.full_like(scale, np.inf), slope)
    scale = np.where(scale > 0, scale, positive.mean())
    scale = np.maximum(scale, _LEAST * float(np.median(positive)))
    return _Yardsticks(scale, middle, np.where(scale == spread, spread, np.inf), slope)

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
estimate from the same samples; its error is heeded (`RatioMoments`).

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
        SamplesError: the shapes differ.
    """
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
    """

    scales: Floats
    means: Floats
    spreads: Floats


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
        losses = np.abs(a - np.where(np.isfinite(b), b, 0.0))
        losses /= found.scales
        # The original's values are used up, so that few large arrays live at once.
        share = a
        share -= found.means
        np.abs(share, out=share)
        share /= found.spreads
        share -= np.isfinite(found.spreads)
        if not known.all():
            raw = _columns(want).astype(np.float64)
            unlike = np.where(np.isfinite(raw), masks.lost(raw, b), raw != b)
            losses[~known], share[~known] = unlike[~known], 0.0
        return losses, share


def _yardsticks(want: Array, parts: list[slice], masks: Masks) -> _Yardsticks:
    count, total, size, spread = np.zeros((4, want[:1].size))
    for part in parts:
        values, known = masks.told(want[part])
        count += known.sum(axis=0)
        total += values.sum(axis=0)
        size += np.abs(values).sum(axis=0)
    count = np.maximum(1, count)
    middle = total / count
    for part in parts:
        values, known = masks.told(want[part])
        spread += np.where(known, np.abs(values - middle), 0).sum(axis=0)
    size, spread = size / count, spread / count
    scale: Floats = np.where(spread > _CONSTANT * size, spread, size)
    positive = scale[scale > 0]
    if not positive.size:
        return _Yardsticks(np.ones_like(scale), middle, np.full_like(scale, np.inf))
    scale = np.where(scale > 0, scale, positive.mean())
    scale = np.maximum(scale, _LEAST * float(np.median(positive)))
    return _Yardsticks(scale, middle, np.where(scale == spread, spread, np.inf))

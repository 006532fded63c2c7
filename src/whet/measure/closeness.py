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
truth. The bounds come from sums of powers, so that one pass in chunks finds them all.

A number that hardly varies is measured against its own size, one that is always zero against the
mean yardstick of the others. No yardstick is below a ten-thousandth of the usual one: what is left
in a number that is next to nothing among the others is the rounding of these. Of whole numbers the share that differs is the loss.
"""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from whet.errors import SamplesError
from whet.measure.chunks import row_chunks
from whet.measure.masks import Masks, masks_of
from whet.measure.statistics import MEAN_METHOD, Bounds, mean_bounds, mean_limits

__all__ = ["closeness_bounds"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

_CONSTANT = 1e-6  # variation below this share of its size is rounding
_LEAST = 1e-4  # share of the median yardstick that none is below
_MOST = 1e99  # the cube of a loss, and sums of such cubes, stay finite


def closeness_bounds(
    want: Array, have: Array, *, rows: int, allowed: float, confidence: float
) -> Bounds:
    """The bounds of the loss of that number of an output which decides.

    It is the one with the largest lower bound where that breaks what is allowed, else the one
    with the largest upper bound.

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
        differ = [
            (want[p] != have[p]).reshape(len(want[p]) // rows, -1).mean(axis=1) for p in parts
        ]
        losses = np.concatenate(differ).astype(np.float64)
        return mean_bounds(losses, confidence) if len(losses) > 1 else _single(losses[0])
    masks = masks_of([want[part] for part in parts])
    scale = _scale(want, parts, masks)
    powers = _Powers(want[:1].size)
    for part in parts:
        found = _losses(want[part], have[part], scale, masks)
        powers.see(found if rows == 1 else found.reshape(-1, rows, found.shape[1]).mean(axis=1))
    return powers.deciding(allowed, confidence)


def _single(loss: float) -> Bounds:
    return Bounds(float(loss), float(loss), float(loss), 0.0, "a single sample")


@final
class _Powers:
    """Sums of the losses, their squares and their cubes, of each number.

    Seen from the first sample: it is one of those that the moments are about, so that
    taking the mean's off loses few digits (Chan, Golub and LeVeque 1983).
    """

    def __init__(self, numbers: int) -> None:
        self._n, self._first = 0, np.zeros(numbers)
        self._sums = np.zeros((3, numbers))

    def see(self, losses: Floats) -> None:
        """Take in more samples, (n, numbers); the array is used up."""
        np.minimum(losses, _MOST, out=losses)
        if not self._n:
            self._first = losses[0].copy()
        self._n += len(losses)
        losses -= self._first
        self._sums[0] += losses.sum(axis=0)
        squares = losses * losses
        self._sums[1] += squares.sum(axis=0)
        squares *= losses
        self._sums[2] += squares.sum(axis=0)

    def deciding(self, allowed: float, confidence: float) -> Bounds:
        """The bounds of the number that decides."""
        n, (first, second, third) = self._n, self._sums / self._n
        mean = self._first + first
        if n < 2:
            return _single(mean.max(initial=0.0))
        square = np.maximum(0.0, second - first**2)
        cube = third - 3 * first * second + 2 * first**3
        root = np.sqrt(square)
        skew = np.divide(cube, root**3, out=np.zeros_like(cube), where=root**3 > 0)
        sd = root * np.sqrt(n / (n - 1))
        lower, upper = mean_limits(n, mean, sd, skew, confidence)
        broken = lower.max(initial=0.0) > allowed
        j = int(np.argmax(lower if broken else upper))
        method = f"{MEAN_METHOD}; of {len(mean)} numbers the one that decides"
        return Bounds(float(mean[j]), float(lower[j]), float(upper[j]), float(sd[j]), method)


def _columns(rows: Array) -> Array:
    return rows.reshape(len(rows), -1)


def _scale(want: Array, parts: list[slice], masks: Masks) -> Floats:
    """The yardstick of each number."""
    count, total, size, spread = np.zeros((4, want[:1].size))
    for part in parts:
        values, known = _known(want[part], masks)
        count += known.sum(axis=0)
        total += values.sum(axis=0)
        size += np.abs(values).sum(axis=0)
    count = np.maximum(1, count)
    middle = total / count
    for part in parts:
        values, known = _known(want[part], masks)
        spread += np.where(known, np.abs(values - middle), 0).sum(axis=0)
    size, spread = size / count, spread / count
    scale: Floats = np.where(spread > _CONSTANT * size, spread, size)
    positive = scale[scale > 0]
    if not positive.size:
        return np.ones_like(scale)
    scale = np.where(scale > 0, scale, positive.mean())
    return np.maximum(scale, _LEAST * float(np.median(positive)))


def _losses(want: Array, have: Array, scale: Floats, masks: Masks) -> Floats:
    a, known = _known(want, masks)
    raw, b = (_columns(x).astype(np.float64) for x in (want, have))
    unlike = np.where(np.isfinite(raw), masks.lost(raw, b), raw != b)
    away = np.abs(a - np.where(np.isfinite(b), b, 0.0))
    losses: Floats = np.where(known, away / scale, unlike.astype(np.float64))
    return losses


def _known(rows: Array, masks: Masks) -> tuple[Floats, NDArray[np.bool_]]:
    flat = _columns(rows).astype(np.float64)
    known = masks.known(flat)
    return np.where(known, flat, 0.0), known

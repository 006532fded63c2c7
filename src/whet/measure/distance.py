"""How far an output's real numbers are from the original's; pure.

Theory of operation. The loss of a sample is half the squared distance of each number from the
original's, as a share of how much that number varies from sample to sample, averaged over those
that vary,

    loss_i = mean over j of (c_ij - r_ij)^2 / (2 V_j),    V_j = mean over i of (r_ij - mean(r_j))^2.

It is half of 1 - R^2 where the original is what shall be explained. For centred vectors of
one length whose numbers vary alike it is exactly 1 - cosine; unlike the cosine it also sees a
wrong scale, works for a single number, and isn't blinded by what all answers have in common.
A share of the *total* variance would see only the numbers in the largest unit: scores could
be random beside boxes in pixels. What a number that hardly varies is measured against, and
which numbers share a unit, is said in `whet.measure.variation`. Masks, infinite or not
(`whet.measure.masks`), have no distance; they must stay masks.

A mean over a thousand numbers doesn't see one that is destroyed. So two things are held:

* **each unit** by itself, to the loss that is allowed: a confidence beside 136 landmarks in pixels;
* **each slice** along each axis (each number of a vector, each channel of a map), more laxly: to five
  times that loss, and at least a quarter, where one that stays at its mean costs a half. No
  yardstick is below a fifth of its unit's mean here, since even noise that costs a unit all that
  is allowed costs a number with a fifth of its variance five times as much.

V_j is an estimate from the same samples, whose error a bound of the mean of loss_i doesn't know: at
the edge it let 10 to 22 of 100 pass, instead of 5. So each sample's share of the variation is told as
well (`whet.measure.statistics.RatioMoments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from whet.measure.chunks import row_chunks
from whet.measure.masks import Masks, masks_of
from whet.measure.statistics import Moments
from whet.measure.variation import Variation, Yardsticks

__all__ = ["Distances", "distances", "inequalities"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ZERO = 1e-30  # a yardstick for an output of zeros
_QUIET = 0.2  # share of its unit's mean variance that no yardstick of a slice is below


@dataclass(frozen=True)
class Distances:
    """What each sample loses.

    Attributes:
        units: of each unit, (samples, units); whole numbers are one.
        shares: what each sample adds to the yardsticks of each unit, less 1 (its mean is 0).
        slices: moments of the losses of each slice, by axis.
        broken: rows with a value that isn't finite where the original's is, or a lost mask.
    """

    units: Floats
    shares: Floats
    slices: tuple[tuple[int, Moments], ...]
    broken: int


def distances(want: Array, have: Array, rows: int) -> Distances:
    """Compare real numbers with the original's.

    Args:
        want: the original's, (rows, ...).
        have: the candidate's, of the same shape.
        rows: that belong to one sample.
    """
    parts = row_chunks(want, rows)
    masks, variation = masks_of([want[part] for part in parts]), Variation(want[:1].size)
    for part in parts:
        variation.see(*_flat(want[part], masks))
    found = variation.yardsticks()
    by_unit = _ByUnit(found)
    lax = _weights(_lifted(found))
    slices = [_Slices(axis, want.shape[1:]) for axis in _axes(want)]
    units, shares, broken = [], [], 0
    for part in parts:
        a, known = _flat(want[part], masks)
        b = have[part].reshape(a.shape).astype(np.float64)
        wrong = (known & ~np.isfinite(b)) | _unmasked(want[part], have[part], masks)
        broken += int(wrong.any(axis=1).sum())
        # Where the original itself says nothing there is no distance.
        square = np.where(known & ~wrong, a - b, 0.0) ** 2
        apart = by_unit.losses(square, known)
        own = by_unit.losses(np.where(known & found.varying, a - found.means, 0.0) ** 2, known)
        units.append(_by_sample(apart, rows))
        shares.append(_by_sample(own, rows))
        counted = known & found.counted
        square *= lax
        for each in slices:
            each.see(square, counted, rows)
    added = np.concatenate(shares)
    usual = added.mean(axis=0)
    added = np.divide(added, usual, out=np.ones_like(added), where=usual > 0) - 1
    return Distances(
        np.concatenate(units), added, tuple((each.axis, each.moments) for each in slices), broken
    )


def inequalities(want: Array, have: Array, rows: int) -> Distances:
    """Compare whole numbers or booleans, of which the share that differs is the loss.

    Args:
        want: the original's, (rows, ...).
        have: the candidate's, of the same shape.
        rows: that belong to one sample.
    """
    axes = _axes(want)
    moments = [Moments(want.shape[1 + axis]) for axis in axes]
    shares = []
    for part in row_chunks(want, rows):
        differ = (want[part] != have[part]).reshape(-1, rows, *want.shape[1:])
        shares.append(differ.mean(axis=tuple(range(1, differ.ndim)))[:, None])
        for axis, each in zip(axes, moments, strict=True):
            others = tuple(k for k in range(1, differ.ndim) if k != axis + 2)
            each.see(differ.mean(axis=others))
    losses = np.concatenate(shares)
    return Distances(losses, np.zeros_like(losses), tuple(zip(axes, moments, strict=True)), 0)


def _by_sample(losses: Floats, rows: int) -> Floats:
    return losses if rows == 1 else losses.reshape(-1, rows, losses.shape[1]).mean(axis=1)


@final
class _ByUnit:
    """Means over the numbers of each unit."""

    def __init__(self, found: Yardsticks) -> None:
        weights = _weights(found.squares)
        present = np.unique(found.units)
        # Of one unit, the usual case, no copies are made.
        inside = [slice(None)] if len(present) == 1 else [found.units == unit for unit in present]
        self._parts = [(each, weights[each], found.counted[each]) for each in inside]

    def losses(self, square: Floats, known: Flags) -> Floats:
        """Of squared distances (n, numbers), by unit (n, units)."""
        columns = [
            square[:, inside] @ weights / np.maximum(1, (known[:, inside] & counted).sum(axis=1))
            for inside, weights, counted in self._parts
        ]
        return np.stack(columns, axis=1)


@final
class _Slices:
    """Moments of the losses of each slice along one axis, over the samples."""

    def __init__(self, axis: int, shape: Sequence[int]) -> None:
        self.axis = axis
        self._form = (-1, *shape)
        self._others = tuple(1 + k for k in range(len(shape)) if k != axis)
        self.moments = Moments(shape[axis])

    def see(self, losses: Floats, counted: Flags, rows: int) -> None:
        """Take in what the numbers of more rows lose, (n, numbers), and which of them count."""
        total = losses.reshape(self._form).sum(axis=self._others)
        count = counted.reshape(self._form).sum(axis=self._others)
        self.moments.see(_by_sample(total / np.maximum(1, count), rows))


def _axes(want: Array) -> list[int]:
    """The axes of a row along which there are slices to tell apart."""
    return [k for k, size in enumerate(want.shape[1:]) if size > 1]


def _lifted(found: Yardsticks) -> Floats:
    squares = found.squares.copy()
    for unit in np.unique(found.units):
        inside = found.units == unit
        told = inside & found.varying
        if told.any():
            squares[inside] = np.maximum(squares[inside], _QUIET * squares[told].mean())
    return squares


def _weights(yardsticks: Floats) -> Floats:
    """What a squared distance costs; where all is zero any costs more than is allowed."""
    weights: Floats = 1 / (2 * np.where(yardsticks > 0, yardsticks, _ZERO))
    return weights


def _unmasked(want: Array, have: Array, masks: Masks) -> Flags:
    """Where the original masks and the candidate's value lies among the others.

    A large number does for an infinity, as long as it stays beyond all that is known there.
    """
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (want, have))
    known = masks.known(a)
    if known.all():
        return np.zeros_like(known)
    lowest = np.where(known, a, np.inf).min(axis=1, keepdims=True)
    highest = np.where(known, a, -np.inf).max(axis=1, keepdims=True)
    wrong: Flags = (np.isneginf(a) & ~(b <= lowest)) | (np.isposinf(a) & ~(b >= highest))
    return wrong | masks.lost(a, b)


def _flat(rows: Array, masks: Masks) -> tuple[Floats, Flags]:
    """Rows as vectors with zeros for what says nothing, and where they say something."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    known = masks.known(flat)
    return np.where(known, flat, 0.0), known

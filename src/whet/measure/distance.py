"""How far an output is from the original's, as a share of how much the original's varies; pure.

Theory of operation. The loss of sample i in a group of numbers is half the squared distance of the
group from the original's, as a share of how much the group varies from sample to sample,

    loss_i = sum over j of (c_ij - r_ij)^2 / (2 T),  T = mean over i of sum over j of (r_ij - m_j)^2,

with m_j the mean of r_ij. Its mean is half of 1 - R^2 where the original is what shall be
explained; for centred vectors of one length it is exactly 1 - cosine. Unlike the cosine it also
sees a wrong scale, works for a single number, and isn't blinded by what all answers have in common.
The mean answer costs 1/2, one that has nothing to do with the original's costs 1. Masks, infinite
or not (`whet.measure.masks`), have no distance; they must stay masks.

Of whole numbers and booleans, which are the same or not, the square is 1 where they differ, and m_j
is the value that is taken by more than half of the samples: the best constant costs 1/2 again.

Two kinds of groups are held:

* **units**: numbers of a vector that vary about alike (`whet.measure.variation`), so that landmarks in
  pixels don't hide a confidence; of a map or of answers by anchor, whose numbers mostly show
  nothing of what a channel holds, the slices that vary about alike. What doesn't vary is no part of
  T; what it loses, by its own size, is added.
* **slices** along each axis: each number of a vector, each channel of a map. A mean over a thousand
  numbers doesn't see one that is destroyed, nor a sum over eighty classes one of them. They are
  pooled, not averaged over their numbers: most places of a rare class show nothing of it.

T is an estimate from the same samples, whose error a bound of the mean of loss_i doesn't know: at
the edge it let 10 to 22 of 100 pass, instead of 5. So each sample's share of T is told as
well (`whet.measure.statistics.RatioMoments`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
from numpy.typing import NDArray

from whet.measure.chunks import by_sample, row_chunks
from whet.measure.masks import Masks, masks_of
from whet.measure.statistics import RatioMoments
from whet.measure.variation import ZERO, Spread, Variation, yardsticks

__all__ = ["Distances", "distances", "inequalities"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_Add = Callable[[Floats], Floats]
"""Sums (n, numbers) to (n, groups)."""

_UNIT = 0  # in place of an axis, which count from 1, as rows are axis 0


@dataclass(frozen=True)
class Distances:
    """What the samples lose.

    Attributes:
        units: moments of the losses of each unit: of a vector's numbers; of a map as a whole, and of the
            slices along each axis that has several.
        slices: the same of each slice, by axis (counted from 1, as rows are axis 0).
        broken: rows with a value that isn't finite where the original's is, or a lost mask.
    """

    units: tuple[RatioMoments, ...]
    slices: tuple[tuple[int, RatioMoments], ...]
    broken: int


def distances(want: Array, have: Array, rows: int, allowed: float) -> Distances:
    """Compare numbers with the original's.

    Args:
        want: the original's, (rows, ...), not empty.
        have: the candidate's, of the same shape.
        rows: that belong to one sample.
        allowed: the loss at which the bounds are exact.
    """
    parts = row_chunks(want, rows)
    masks, variation = masks_of([want[part] for part in parts]), Variation(want[:1].size)
    for part in parts:
        variation.see(*masks.told(want[part]))
    spread, broken = variation.spread(), 0
    groups = _groups(want.shape[1:], spread, partial(_Groups, rows=rows, allowed=allowed))
    for part in parts:
        a, known = masks.told(want[part])
        b = have[part].reshape(a.shape).astype(np.float64)
        wrong = (known & ~np.isfinite(b)) | _unmasked(want[part], have[part], masks)
        broken += int(wrong.any(axis=1).sum())
        # Where the original itself says nothing there is no distance.
        apart = np.where(known & ~wrong, a - b, 0.0) ** 2
        own = np.where(known & spread.told, a - spread.means, 0.0) ** 2
        for _, group in groups:
            group.see(apart, own)
    return _found(groups, broken)


def inequalities(want: Array, have: Array, rows: int, allowed: float) -> Distances:
    """Compare whole numbers or booleans with the original's.

    Args:
        want: the original's, (rows, ...), not empty.
        have: the candidate's, of the same shape.
        rows: that belong to one sample.
        allowed: the loss at which the bounds are exact.
    """
    parts = row_chunks(want, rows)
    usual, away = _majority(want, parts), np.zeros(want[:1].size)
    for part in parts:
        away += (_columns(want[part]) != usual).sum(axis=0)
    # What is always the same is measured against one row that isn't.
    spread = Spread(away, away / len(want), np.full_like(away, 1 / len(want)), away > 0)
    groups = _groups(want.shape[1:], spread, partial(_Groups, rows=rows, allowed=allowed))
    for part in parts:
        a = _columns(want[part])
        apart = (a != _columns(have[part])).astype(np.float64)
        own = (a != usual).astype(np.float64)
        for _, group in groups:
            group.see(apart, own)
    return _found(groups, 0)


def _found(groups: Sequence[tuple[int, _Groups]], broken: int) -> Distances:
    return Distances(
        tuple(each.moments for axis, each in groups if axis == _UNIT),
        tuple((axis, each.moments) for axis, each in groups if axis != _UNIT),
        broken,
    )


@final
class _Groups:
    """Moments of the losses of several groups of numbers.

    Args:
        yardsticks: mean square that each group's sum is measured against, (groups,).
        told: groups of which it is their own variation, an estimate, (groups,).
        add: sums (n, numbers) to (n, groups).
        weights: what the square of each number counts for in its sum; ``None`` for 1.
        rows: that belong to one sample.
        allowed: the loss at which the bounds are exact.
    """

    def __init__(
        self,
        yardsticks: Floats,
        told: Flags,
        add: _Add,
        weights: Floats | None = None,
        *,
        rows: int,
        allowed: float,
    ) -> None:
        self._yardsticks, self._told, self._add = yardsticks, told, add
        self._rows, self._weights = rows, weights
        self.moments = RatioMoments(len(told), allowed)

    def see(self, apart: Floats, own: Floats) -> None:
        """Take in squared distances of more rows from the original's, and of its own from its mean.

        Both are (n, numbers), and 0 where a number says nothing.
        """
        weighted = apart if self._weights is None else apart * self._weights
        losses = by_sample(self._add(weighted), self._rows) / (2 * self._yardsticks)
        shares = by_sample(self._add(own), self._rows) / self._yardsticks
        self.moments.see(losses, np.where(self._told, shares - 1, 0.0))


def _groups(
    shape: Sequence[int], spread: Spread, make: Callable[..., _Groups]
) -> list[tuple[int, _Groups]]:
    """The units, under `_UNIT`, and the slices under their axis."""
    groups = [(_UNIT, _whole(spread, make) if len(shape) > 1 else _of_numbers(spread, make))]
    for axis in _axes(shape):
        add = _along(axis, shape)
        squares = add(np.where(spread.told, spread.squares, 0.0)[None])[0]
        found, units = yardsticks(squares, add(spread.sizes[None])[0], squares > 0)
        groups.append((axis + 1, make(found, found == squares, add)))
        if len(shape) > 1 and units.max() > 0:
            inside = _inside(units)
            sums = np.array([float(squares[each].sum()) for each in inside])
            groups.append((_UNIT, make(sums, sums > 0, _pooled(add, inside))))
    return groups


def _whole(spread: Spread, make: Callable[..., _Groups]) -> _Groups:
    """All numbers of a map as one unit."""
    varies = np.array([float(spread.squares[spread.told].sum())])
    size = max(float(spread.sizes.sum()), ZERO)
    return make(
        np.where(varies > 0, varies, size), varies > 0, lambda x: x.sum(axis=1, keepdims=True)
    )


def _of_numbers(spread: Spread, make: Callable[..., _Groups]) -> _Groups:
    """The units of a vector."""
    alone, units = yardsticks(spread.squares, spread.sizes, spread.told)
    inside = _inside(units)
    sums = np.array([float(spread.squares[each & spread.told].sum()) for each in inside])
    counts = np.array([int((each & spread.told).sum()) for each in inside])
    told = sums > 0
    # Where nothing varies: as many as there are, each by its own size.
    counts = np.where(told, counts, [int(each.sum()) for each in inside])
    sums = np.where(told, sums, 1.0)
    weights = np.ones(len(alone))
    for each, total, count in zip(inside, sums, counts, strict=True):
        # What doesn't vary counts as one of those that do, by its own yardstick.
        weights[each & ~spread.told] = (total / count / alone)[each & ~spread.told]
    return make(sums, told, _pooled(lambda squares: squares, inside), weights)


def _inside(units: NDArray[np.int16]) -> list[Flags]:
    """Which members are of each unit."""
    return [units == unit for unit in np.unique(units)]


def _pooled(add: _Add, inside: Sequence[Flags]) -> _Add:
    """Sums of the members that ``add`` gives, by unit."""

    def pooled(values: Floats) -> Floats:
        members = add(values)
        return np.stack([members[:, each].sum(axis=1) for each in inside], axis=1)

    return pooled


def _along(axis: int, shape: Sequence[int]) -> _Add:
    """Sums (n, numbers) to (n, slices)."""
    others = tuple(1 + k for k in range(len(shape)) if k != axis)

    def add(values: Floats) -> Floats:
        summed: Floats = values.reshape(-1, *shape).sum(axis=others)
        return summed

    return add


def _axes(shape: Sequence[int]) -> list[int]:
    """The axes of a row along which there are slices to tell apart."""
    return [k for k, size in enumerate(shape) if size > 1]


def _unmasked(want: Array, have: Array, masks: Masks) -> Flags:
    """Where the original masks and the candidate's value lies among the others.

    A large number does for an infinity, as long as it stays beyond all that is known there.
    """
    a, b = (_columns(x).astype(np.float64) for x in (want, have))
    known = masks.known(a)
    if known.all():
        return np.zeros_like(known)
    lowest = np.where(known, a, np.inf).min(axis=1, keepdims=True)
    highest = np.where(known, a, -np.inf).max(axis=1, keepdims=True)
    wrong: Flags = (np.isneginf(a) & ~(b <= lowest)) | (np.isposinf(a) & ~(b >= highest))
    return wrong | masks.lost(a, b)


def _columns(rows: Array) -> Array:
    return rows.reshape(len(rows), -1)


def _majority(want: Array, parts: Sequence[slice]) -> Array:
    """What more than half of the rows hold at each place, if there is such a value.

    By one pass (Boyer and Moore 1981). Where no value has a majority it is any of them, and
    what isn't that one is at least half.
    """
    held, votes = _columns(want[:1])[0].copy(), np.zeros(want[:1].size, np.int64)
    for part in parts:
        for row in _columns(want[part]):
            held = np.where(votes > 0, held, row)
            votes += np.where(row == held, 1, -1)
    usual: Array = held
    return usual

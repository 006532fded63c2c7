"""How much each number of an output varies from row to row, and which share a unit; pure.

Seen from its first value the squares are about as large as the variance, so that taking the
mean's off loses no digits to what all rows have in common (the shifted-data algorithm; Chan,
Golub and LeVeque 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ZERO", "Spread", "Variation", "yardsticks"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int16]

ZERO = 1e-30
"""A yardstick where all is zero: any difference costs more than is allowed."""

_CONSTANT = 1e-12  # variance below this share of the squared size is float32's rounding
_ENOUGH = 30  # values that tell how much a number varies
_GAP = 100.0  # of variances; those of the networks tried that share a unit leave gaps below 20
_NOTHING = 1e-8  # share of the median variance below which the rounding of others is what is left
_MANY = 20  # members from which a unit tells what is little in it
_QUIET = 0.2


@dataclass(frozen=True)
class Spread:
    """How far the numbers of an output are from their means, each (numbers,).

    Attributes:
        means: where they are known.
        squares: squared distances from them, per row that was seen, known there or not.
        sizes: squares of the numbers themselves, likewise.
        told: numbers that vary, and are known often enough to tell how much.
    """

    means: Floats
    squares: Floats
    sizes: Floats
    told: Flags


@final
class Variation:
    """Gathers the `Spread` of the numbers of an output over the rows that it is shown.

    Args:
        numbers: of one row.
    """

    def __init__(self, numbers: int) -> None:
        self._rows = 0
        self._seen = np.zeros(numbers, np.int64)
        self._first, self._total, self._square, self._size = np.zeros((4, numbers))

    def see(self, rows: Floats, known: Flags) -> None:
        """Take in more rows, (n, numbers), finite, and where they tell anything."""
        if not len(rows):
            return
        fresh = (self._seen == 0) & known.any(axis=0)
        earliest = np.take_along_axis(rows, known.argmax(axis=0)[None], axis=0)[0]
        self._first = np.where(fresh, earliest, self._first)
        away = np.where(known, rows - self._first, 0.0)
        self._rows += len(rows)
        self._seen += known.sum(axis=0)
        self._total += away.sum(axis=0)
        self._square += np.einsum("ij,ij->j", away, away)
        self._size += np.einsum("ij,ij,ij->j", rows, rows, known)

    def spread(self) -> Spread:
        """Of all rows seen."""
        seen, rows = np.maximum(1, self._seen), max(1, self._rows)
        middle = self._total / seen
        squares = np.maximum(0.0, self._square - seen * middle**2)
        moves = squares > _CONSTANT * self._size
        return Spread(
            means=self._first + middle,
            squares=squares / rows,
            sizes=self._size / rows,
            told=moves & (self._seen >= min(_ENOUGH, self._rows)),
        )


def yardsticks(squares: Floats, sizes: Floats, told: Flags) -> tuple[Floats, Numbers]:
    """What squared distances of each member of an output are measured against, and its unit.

    Members are numbers, or slices with the sums of their numbers. Those in pixels and those between
    0 and 1 may lie side by side. The variances of those that share a unit lie close together; where
    a gap of two powers of ten parts them, they are taken for two units (a thousand features of a
    real network leave none of a twentieth of that).

    A member's yardstick is its own variance. In a unit of twenty members and more none is below a
    fifth of their mean: even noise that costs a unit all that is allowed costs a member with a fifth
    of its variance five times as much. What doesn't vary is measured against its own size, and,
    like what varies next to nothing, at least against the least variance of its unit.

    Args:
        squares: (members,), from `Spread`.
        sizes: (members,).
        told: (members,), those whose variance means anything.

    Returns:
        Yardsticks, never 0, and units, counted from the smallest.
    """
    usual = float(np.median(squares[told])) if told.any() else 0.0
    varying = told & (squares > 0) & (squares >= _NOTHING * usual)
    known = np.sort(squares[varying])
    starts = known[1:][known[1:] > _GAP * known[:-1]]
    units: Numbers = np.searchsorted(starts, squares, side="right").astype(np.int16)
    found = np.where(varying, squares, np.maximum(squares, sizes))
    for unit in range(len(starts) + 1):
        inside = units == unit
        own = squares[inside & varying]
        if not own.size:
            continue
        least = max(float(own.min()), _QUIET * float(own.mean()) if own.size >= _MANY else 0.0)
        found[inside] = np.maximum(found[inside], least)
    if not known.size and (found > 0).any():  # nothing varies: what is 0 goes by the others
        found = np.maximum(found, found[found > 0].min())
    return np.maximum(found, ZERO), units

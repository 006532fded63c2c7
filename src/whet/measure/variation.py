"""How much each number of an output varies from row to row, in one pass; pure.

Seen from its first value the squares are about as large as the variance, so that taking the
mean's off loses no digits to what all rows have in common (the shifted-data algorithm; Chan,
Golub and LeVeque 1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Variation", "Yardsticks"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int16]

_CONSTANT = 1e-12  # variance below this share of the squared size is float32's rounding
_ENOUGH = 30  # values that tell how much a number varies
_QUIET = 0.05
_GAP = 100.0  # of variances; those of the networks tried that share a unit leave gaps below 20
_NOTHING = 1e-8  # share of the median variance below which the rounding of others is what is left


@dataclass(frozen=True)
class Yardsticks:
    """What squared distances are measured against.

    Attributes:
        squares: (numbers,), mean squares; 0 only where the whole output is zero.
        counted: (numbers,), those that a mean is taken over. Numbers that never vary aren't: what
            they lose is added, but by staying what they are they make no other's loss smaller.
        units: (numbers,), which numbers are of one unit, counted from 0, the smallest first.
        means: (numbers,).
        varying: (numbers,), those whose yardstick is their own variance, or that of their unit.
    """

    squares: Floats
    counted: Flags
    units: Numbers
    means: Floats
    varying: Flags


@final
class Variation:
    """Variance of each number over the rows that it was shown, as a yardstick.

    A number that doesn't vary, or is known on too few rows to tell, has its own mean square instead.

    Numbers in pixels and numbers between 0 and 1 may lie side by side. The variances of those that
    share a unit lie close together; where a gap of two powers of ten parts them, they are taken for
    two units (a thousand features of a real network leave none of a twentieth of that).

    No yardstick is below the variance that all but a twentieth of its unit's numbers reach. A few
    channels of an embedding hardly ever leave zero; their variance is no measure of anything,
    and by it the rounding of int8, which goes by what the others need, would cost all there
    is. In a unit of less than twenty numbers each counts by itself.

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

    def yardsticks(self) -> Yardsticks:
        """The yardstick of each number, after all rows."""
        seen = np.maximum(1, self._seen)
        middle = self._total / seen
        centred, size = self._square / seen - middle**2, self._size / seen
        moves, enough = centred > _CONSTANT * size, self._seen >= min(_ENOUGH, self._rows)
        own: Floats = np.where(moves & enough, centred, size)
        told = moves & enough if (moves & enough).any() else own > 0
        units = _units(own, told)
        squares = own.copy()
        for unit in range(int(units.max(initial=0)) + 1):
            inside = units == unit
            if (inside & told).any():
                least = np.quantile(own[inside & told], _QUIET, method="lower")
                squares[inside] = np.maximum(own[inside], least)
        counted = moves | ~enough
        return Yardsticks(
            squares=squares,
            counted=counted if counted.any() else ~counted,
            units=units,
            means=self._first + middle,
            varying=moves & enough,
        )


def _units(own: Floats, told: Flags) -> Numbers:
    """The unit of each number: split where the variances that are told leave a wide gap."""
    if not told.any():
        return np.zeros(len(own), np.int16)
    known = np.sort(own[told])
    known = known[known >= _NOTHING * known[len(known) // 2]]
    starts = known[1:][known[1:] > _GAP * known[:-1]]
    units: Numbers = np.searchsorted(starts, own, side="right").astype(np.int16)
    return units

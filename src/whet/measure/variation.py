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

_CONSTANT = 1e-12  # variance below this share of the squared size is float32's rounding
_ENOUGH = 30  # values that tell how much a number varies
_QUIET = 0.05


@dataclass(frozen=True)
class Yardsticks:
    """What squared distances are measured against.

    Attributes:
        squares: (numbers,), mean squares; 0 only where the whole output is zero.
        counted: (numbers,), those that a mean is taken over. Numbers that never vary aren't: what
            they lose is added, but by staying what they are they make no other's loss smaller.
    """

    squares: Floats
    counted: Flags


@final
class Variation:
    """Variance of each number over the rows that it was shown, as a yardstick.

    A number that doesn't vary, or is known on too few rows to tell, has its own mean square instead.

    No yardstick is below the variance that all but a twentieth of the varying numbers reach. A few
    channels of an embedding hardly ever leave zero; their variance is no measure of anything,
    and by it the rounding of int8, which goes by what the others need, would cost all there
    is. Where more are so small (two scores beside four pixels) they are a unit of their own and
    keep their own yardstick. In an output of less than twenty numbers each counts by itself.

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
        centred = self._square / seen - (self._total / seen) ** 2
        size = self._size / seen
        moves, enough = centred > _CONSTANT * size, self._seen >= min(_ENOUGH, self._rows)
        own: Floats = np.where(moves & enough, centred, size)
        others = own[moves & enough] if (moves & enough).any() else own[own > 0]
        least = np.quantile(others, _QUIET, method="lower") if others.size else 0.0
        counted = moves | ~enough
        return Yardsticks(np.maximum(own, least), counted if counted.any() else ~counted)

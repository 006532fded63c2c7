"""How much an output varies from row to row, in one pass; pure.

Seen from the first row the squares are about as large as the variance, so that taking the
mean's off loses no digits to what all rows have in common (the shifted-data algorithm; Chan,
Golub and LeVeque 1983).
"""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Variation"]

Floats = NDArray[np.float64]

_CONSTANT = 1e-9  # variance below this share of the squared size is rounding


@final
class Variation:
    """Total variance over the rows that it was shown; their size where they don't vary.

    Args:
        first: (1, values), the first of the rows.
    """

    def __init__(self, first: Floats) -> None:
        self._first = first
        self._total = np.zeros(first.shape[1])
        self._rows, self._square, self._size = 0, 0.0, 0.0

    def see(self, rows: Floats) -> None:
        """Take in more rows, (n, values), all finite."""
        away = rows - self._first
        self._rows += len(rows)
        self._total += away.sum(axis=0)
        self._square += float(np.vdot(away, away))
        self._size += float(np.vdot(rows, rows))

    def value(self) -> float:
        """Mean squared distance from the mean row; mean squared size where that is nothing."""
        middle = self._total / self._rows
        centred = self._square / self._rows - float(middle @ middle)
        size = self._size / self._rows
        return centred if centred > _CONSTANT * size else size

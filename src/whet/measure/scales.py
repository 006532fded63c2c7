"""How large the values of an output are where a difference is looked at; pure.

Theory of operation. Rounding is small against the values that a number was computed among, not
against the largest of the whole output: a masked class at -1e9 or a box in pixels beside a score
would hide whatever happens to the rest. So the scale at one place is the smallest of the largest
magnitudes along each axis through it (its row, its column, its channel ...), wherever that is
a maximum over eight values or more that aren't zero. Three things are set apart:

* **masks**: magnitudes that lie far above everything else (`whet.measure.masks`) count for no
  other value's scale;
* **shares**: an output with all values in 0..1 has one unit, and its scale is its largest value (of
  a thousand probabilities most stay near zero on all samples);
* **near zero**: where a whole column hardly leaves zero, what is left there is the rounding of
  larger numbers that cancelled; no scale is below a hundredth of the output's upper quartile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whet.measure.masks import LOWEST, count_exponents, highest_value

__all__ = ["Scales", "scales_of"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

_FEWEST = 8
_FLOOR = 1e-2
_TINY = 1e-12


@dataclass(frozen=True)
class Scales:
    """The scale at every place of an output.

    Attributes:
        axes: axis and largest magnitude of each slice across it.
        floor: no scale is below it.
        whole: the scale where no axis has enough values, or all values are shares.
    """

    axes: tuple[tuple[int, Floats], ...] = field(repr=False)
    floor: float
    whole: float

    def of(self, part: slice, shape: tuple[int, ...]) -> Floats:
        """Scales of some rows.

        Args:
            part: the rows.
            shape: of these rows in the output.
        """
        found: Floats = np.full(shape, self.whole)
        for axis, largest in self.axes:
            own = largest[part] if axis == 0 else largest
            np.minimum(found, own.reshape(_along(axis, len(shape))), out=found)
        return np.maximum(found, self.floor, out=found)


def scales_of(output: Array, parts: Sequence[slice]) -> Scales:
    """The scales of an output of real numbers.

    Args:
        output: (rows, ...); values that aren't finite don't count.
        parts: the chunks of rows to read at once.
    """
    counts = np.zeros(2 * LOWEST, np.int64)
    shares = True
    for part in parts:
        values = output[part].astype(np.float64).reshape(-1)
        finite = np.isfinite(values)
        values = values if finite.all() else values[finite]
        shares = shares and bool(((values >= 0) & (values <= 1)).all())
        counts += count_exponents(values)
    highest = highest_value(counts)
    counts[highest + LOWEST + 1 :] = 0
    # Of all rows together first: the other axes need no further look at each of them.
    by_row, in_row = np.zeros(len(output)), np.zeros(len(output), np.int64)
    by_place, at_place = np.zeros(output.shape[1:]), np.zeros(output.shape[1:], np.int64)
    for part in parts:
        size = np.abs(output[part].astype(np.float64))
        size[~(size < 2.0**highest)] = 0
        rows = size.reshape(len(size), -1)
        by_row[part], in_row[part] = rows.max(axis=1, initial=0.0), np.count_nonzero(rows, axis=1)
        np.maximum(by_place, size.max(axis=0), out=by_place)
        at_place += np.count_nonzero(size, axis=0)
    whole = float(by_row.max(initial=0.0))
    largest: list[tuple[int, Floats]] = []
    for axis in range(output.ndim):
        if shares or output.size < _FEWEST * output.shape[axis]:
            continue
        others = tuple(k for k in range(by_place.ndim) if k != axis - 1)
        known = by_row if axis == 0 else by_place.max(axis=others)
        count = in_row if axis == 0 else at_place.sum(axis=others)
        largest.append((axis, np.where(count < _FEWEST, whole, known)))
    return Scales(tuple(largest), max(_FLOOR * _quartile(counts), _TINY), whole)


def _along(axis: int, ndim: int) -> tuple[int, ...]:
    return tuple(-1 if k == axis else 1 for k in range(ndim))


def _quartile(counts: NDArray[np.int64]) -> float:
    """The upper quartile of all magnitudes but zeros, to a power of two."""
    below = np.cumsum(counts)
    if not below[-1]:
        return 0.0
    return float(2.0 ** (int(np.searchsorted(below, 0.75 * below[-1])) - LOWEST - 1))

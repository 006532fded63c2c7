"""Which values of an output are masks, "never" written as a large finite number; pure.

Theory of operation. Networks write "never" as -inf, but as often as the lowest float, -1e9 or -1e4.
Such a number has no distance to the original's, and taken for a value it is so large that it hides
whatever happens to the others. Three things tell it from a value:

* magnitudes of 8192 and more that lie far above everything else in the output (at least five empty
  powers of two between) are candidates;
* a number of an output that is that large on all rows is no mask but a quantity in another unit
  (pixels or a price beside a score); only what lies as far above its own smallest may be one;
* masks lie on a few levels, each taken often; what is spread over many is a quantity that is zero now
  and then (a price where something is sold);
* one number of an output has one mask. What takes several levels is a quantity that comes in tiers, unless
  they are a mask and the sum of two, and so large that no quantity is; and only a mask that large
  is positive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOWEST", "Masks", "count_exponents", "highest_value", "masks_of"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Levels = NDArray[np.int64]

LOWEST = 1100
"""frexp's exponents of float64 lie within +-1100, so this is where 0 is counted."""

_MASK_FROM = 14  # exponent of 8192, as frexp counts: the smallest mask in use is -1e4
_NEVER = 2.0**15  # as good as any larger one: float16 ends at twice that
_GAP = 6
_FEWEST = 8
_STEPS = 32  # levels between a power of two and the next: about 2 % apart
_OFTEN = 1 / 16  # share of what is beyond the limit that lies on a level of masks
_PAIR = 1 << 17  # more than there are levels of float64, either sign
_NO_QUANTITY = 26 * _STEPS  # level of 6.7e7


@dataclass(frozen=True)
class Masks:
    """Where an output's masks lie.

    Attributes:
        limits: (numbers,), magnitudes from which a value may be a mask; infinite where the output
            has none.
        levels: what masks are rounded to, see `_level`; sorted.
    """

    limits: Floats = field(repr=False)
    levels: Levels = field(repr=False)

    def known(self, rows: Array) -> Flags:
        """Where values are values, neither masks nor infinite nor NaN.

        Args:
            rows: (n, numbers) of the output that the masks were found in.
        """
        finite = np.isfinite(rows)
        if not len(self.levels):
            return finite
        beyond = finite & (np.abs(rows) >= self.limits)
        known: Flags = finite & ~beyond
        known[beyond] = ~np.isin(_level(rows[beyond]), self.levels)
        return known

    def told(self, rows: Array) -> tuple[Floats, Flags]:
        """Rows as vectors (n, numbers), with zeros for what says nothing, and where they say something."""
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        known = self.known(flat)
        return np.where(known, flat, 0.0), known

    def lost(self, want: Array, have: Array) -> Flags:
        """Where the original has a finite mask and the candidate has none.

        Any other number far out on the same side does, an infinity too: one that has at least half
        of the mask's digits, for what lies a little beyond the others is no longer "never".

        Args:
            want: (n, numbers), the original's.
            have: the candidate's.
        """
        masked = np.isfinite(want) & ~self.known(want)
        far = np.minimum(np.sqrt(np.abs(np.where(masked, want, 0.0))), _NEVER)
        lost: Flags = masked & ~(np.copysign(1.0, want) * have >= np.maximum(far, self.limits))
        return lost


def masks_of(parts: Sequence[Array]) -> Masks:
    """The masks of an output of real numbers.

    Args:
        parts: its rows, (n, ...), in chunks that may be read at once.
    """
    numbers = parts[0][:1].size
    counts, nearest = np.zeros(2 * LOWEST, np.int64), np.full(numbers, np.inf)
    none = Masks(np.full(numbers, np.inf), np.zeros(0, np.int64))
    # Most outputs have nothing so large; looking for it is much faster than counting.
    if not any(_large(part) for part in parts):
        return none
    for part in parts:
        values = part.astype(np.float64).reshape(-1, numbers)
        finite = np.isfinite(values)
        counts += count_exponents(values[finite])
        size = np.where(finite, np.abs(values), np.inf)
        np.minimum(nearest, size.min(axis=0, initial=np.inf), out=nearest)
    highest = highest_value(counts)
    if not counts[highest + LOWEST + 1 :].any():
        return none
    limit = 2.0**highest
    always = (nearest >= limit) & np.isfinite(nearest)
    limits: Floats = np.where(always, nearest * 2.0**_GAP, limit)
    levels, tiers = _common_levels(parts, limits)
    limits[tiers] = np.inf
    return Masks(limits, levels) if len(levels) and np.isfinite(limits).any() else none


def _common_levels(parts: Sequence[Array], limits: Floats) -> tuple[Levels, NDArray[np.int64]]:
    """The levels that masks may lie on, and the numbers that take several of them."""
    found, times = np.zeros(0, np.int64), np.zeros(0, np.int64)  # pairs of number and level
    for part in parts:
        values = part.reshape(-1, len(limits))
        beyond = np.isfinite(values) & (np.abs(values) >= limits)
        pairs = np.nonzero(beyond)[1] * _PAIR + _level(values[beyond]) + _PAIR // 2
        own, count = np.unique(pairs, return_counts=True)
        found, place = np.unique(np.concatenate([found, own]), return_inverse=True)
        times = np.bincount(place, np.concatenate([times, count]), len(found)).astype(np.int64)
    number, level = found // _PAIR, found % _PAIR - _PAIR // 2
    levels, place = np.unique(level, return_inverse=True)
    taken = np.bincount(place, times, len(levels))
    often = (taken > 1) & (taken >= _OFTEN * taken.sum()) & ((levels < 0) | (levels > _NO_QUANTITY))
    levels = levels[often]
    kept = np.isin(level, levels)
    number, level = number[kept], level[kept]
    # They are sorted by number and level, so that the levels of one number are neighbours.
    step = np.where(np.diff(number) == 0, np.diff(level), 0)
    doubled = (np.abs(step - _STEPS) <= 1) & (np.abs(level[1:]) > _NO_QUANTITY)
    return levels, np.unique(number[1:][(step > 1) & ~doubled])


def _level(values: Array) -> Levels:
    """The logarithm of large magnitudes in `_STEPS` to the power of two, and their sign."""
    wide = values.astype(np.float64)
    size = np.round(_STEPS * np.log2(np.abs(wide))).astype(np.int64)
    level: Levels = np.where(wide < 0, -size, size)
    return level


def _large(values: Array) -> bool:
    size = np.abs(values)
    return bool(((size >= 2.0 ** (_MASK_FROM - 1)) & (size < np.inf)).any())


def count_exponents(values: Floats) -> NDArray[np.int64]:
    """How many finite values, zeros aside, have each binary exponent, from -`LOWEST` on."""
    counts = np.bincount(np.frexp(values)[1] + LOWEST, minlength=2 * LOWEST)
    counts[LOWEST] -= len(values) - np.count_nonzero(values)  # the exponent of 0 is 0
    return counts


def highest_value(counts: NDArray[np.int64]) -> int:
    """The highest exponent below the first gap that sets masks apart; of all where there is none."""
    present = np.flatnonzero(counts)
    if not len(present):
        return 0
    for low, high in pairwise(present):
        # A handful of values may lie far below the others by chance: that makes no mask.
        enough = counts[: low + 1].sum() >= _FEWEST
        if high - LOWEST >= _MASK_FROM and high - low >= _GAP and enough:
            return int(low) - LOWEST
    return int(present[-1]) - LOWEST

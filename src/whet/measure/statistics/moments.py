"""Bounds of many means at once, from sums of powers over one pass; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from whet.measure.statistics.paired import MEAN_METHOD, Bounds, mean_limits

__all__ = ["Limits", "Moments", "RatioMoments"]

Floats = NDArray[np.float64]

_AT_ONCE = 1 << 15  # numbers whose bounds are found together: a map may have millions
_MOST = 1e99  # the cube of a loss, and sums of such cubes, stay finite


@final
class Moments:
    """Sums of the losses, their squares and their cubes, of each number.

    Seen from the first sample: it is one of those that the moments are about, so that
    taking the mean's off loses few digits (Chan, Golub and LeVeque 1983).

    Args:
        numbers: whose losses each sample has.
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

    def limits(self, confidence: float) -> Limits:
        """The mean of each number with its bounds, each one-sided.

        Of a single sample they are what it lost.
        """
        return _in_blocks(len(self._first), lambda block: self.some(block, confidence))

    def some(self, block: slice, confidence: float) -> Limits:
        """`limits` of some of the numbers."""
        n = max(1, self._n)
        first, second, third = self._sums[:, block] / n
        mean = self._first[block] + first
        if n < 2:
            return Limits(mean, mean, mean, np.zeros_like(mean))
        square = np.maximum(0.0, second - first**2)
        cube = third - 3 * first * second + 2 * first**3
        root = np.sqrt(square)
        skew = np.divide(cube, root**3, out=np.zeros_like(cube), where=root**3 > 0)
        sd = root * np.sqrt(n / (n - 1))
        return Limits(mean, *mean_limits(n, mean, sd, skew, confidence), sd)


@final
class RatioMoments:
    """Of losses x_i / y whose yardstick y, the mean of y_i, is an estimate from the same samples.

    The bound of the ratio is the u at which a bound of the mean of x_i - u (y_i - 1), in units in
    which y is 1, is u itself (Fieller 1954). That bound is convex in u, so between 0 and what is
    allowed it isn't above the straight line between its two ends, and the line meets
    u on the same side of what is allowed. The two ends are all that is kept. Heeded is
    at most half of what is allowed: so what loses nothing is bounded by nothing.

    Args:
        numbers: whose losses each sample has.
        allowed: the loss at which the bounds are exact.
    """

    def __init__(self, numbers: int, allowed: float) -> None:
        self._numbers, self._allowed = numbers, allowed
        self._alone, self._edge = Moments(numbers), Moments(numbers)

    def see(self, losses: Floats, shares: Floats) -> None:
        """Take in more samples; both arrays, (n, numbers), are used up.

        Args:
            losses: x_i / y.
            shares: y_i / y - 1, or 0 where the yardstick is no estimate.
        """
        shares *= -self._allowed
        shares += losses
        self._edge.see(shares)
        self._alone.see(losses)

    def limits(self, confidence: float) -> Limits:
        """The mean loss of each number with its bounds, each one-sided."""

        def of(block: slice) -> Limits:
            alone, edge = (x.some(block, confidence) for x in (self._alone, self._edge))
            lower, upper = self._met(alone.lower, edge.lower), self._met(alone.upper, edge.upper)
            return Limits(alone.mean, lower, upper, np.maximum(alone.sd, edge.sd))

        return _in_blocks(self._numbers, of)

    def _met(self, alone: Floats, edge: Floats) -> Floats:
        """The bounds, from those at 0 and at what is allowed."""
        # What a few samples alone make out has no sure yardstick, and Fieller's bound no end.
        edge = np.clip(edge, alone - self._allowed / 2, alone + self._allowed / 2)
        inside = (edge <= self._allowed) & (alone > 0)
        line = np.where(inside, self._allowed - edge + alone, 1.0)
        met = np.where(inside, self._allowed * alone / line, np.minimum(alone, edge))
        met = np.where(edge > self._allowed, edge, met)
        return np.where(alone == 0, 0.0, met)


@dataclass(frozen=True)
class Limits:
    """Means of many numbers with their bounds and the spread of one sample, each (numbers,)."""

    mean: Floats
    lower: Floats
    upper: Floats
    sd: Floats

    def deciding(self, allowed: float) -> tuple[Bounds, int]:
        """The bounds of the mean that decides whether all keep what is allowed, and its number.

        It is the one with the largest lower bound where that breaks what is allowed, else the one
        with the largest upper bound: the one with the largest mean may be steady while
        another, rarely and badly wrong, is worse in truth.

        Args:
            allowed: the mean that each may have.
        """
        broken = bool(self.lower.max(initial=0.0) > allowed)
        j = int(np.argmax(self.lower if broken else self.upper))
        mean, lower, upper, sd = (float(x[j]) for x in (self.mean, self.lower, self.upper, self.sd))
        return Bounds(mean, lower, upper, sd, MEAN_METHOD), j


def _in_blocks(numbers: int, of: Callable[[slice], Limits]) -> Limits:
    found = np.zeros((4, numbers))
    for start in range(0, numbers, _AT_ONCE):
        block = slice(start, start + _AT_ONCE)
        each = of(block)
        found[:, block] = each.mean, each.lower, each.upper, each.sd
    return Limits(*found)

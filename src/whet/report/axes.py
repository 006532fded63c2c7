"""Scales and round ticks for the plot; pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Linear", "Log", "linear_ticks", "log_ticks"]

_MANTISSAS = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    (1.0, 1.2, 1.5, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
)


@dataclass(frozen=True)
class Log:
    """Positive values on a logarithmic axis from pixel ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(
        cls, values: Iterable[float], start: float, end: float, *, margin: float = 0.06
    ) -> Log:
        """A scale that covers the positive values, with a margin on both sides."""
        known = [v for v in values if math.isfinite(v) and v > 0] or [1.0, 10.0]
        low, high = min(known), max(known)
        if high / low < 1.2:
            low, high = low / 1.3, high * 1.3
        pad = (high / low) ** margin
        return cls(low / pad, high * pad, start, end)

    def __call__(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.start + min(1.0, share) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis; others are drawn at its end."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Linear:
    """Values on a linear axis from pixel ``start`` to ``end``, clipped at its ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between ``low`` and ``high``: 1-2-5 and finer, at most ``most``."""
    best: list[float] = []
    for mantissas in _MANTISSAS:
        found = [
            m * 10.0**power
            for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for m in mantissas
            if low <= m * 10.0**power <= high
        ]
        if len(found) > most:
            break
        best = found
    return best if len(best) >= 3 else linear_ticks(low, high, most)


def linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between the ends, at most ``most``."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10.0 ** math.floor(math.log10(span / max(1, most)))
    for factor in (1.0, 2.0, 5.0, 10.0, 20.0):
        ticks = _multiples(low, high, step * factor)
        if len(ticks) <= most:
            return ticks
    return [low, high]


def _multiples(low: float, high: float, step: float) -> list[float]:
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]

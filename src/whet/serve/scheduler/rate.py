"""How many rows arrive in a second, by what came lately."""

from __future__ import annotations

import math

__all__ = ["Rate"]

_MEMORY_S = 0.5


class Rate:
    """Rows per second, with a memory that fades."""

    def __init__(self) -> None:
        self._value = 0.0
        self._at_s: float | None = None

    def arrived(self, rows: int, now_s: float) -> None:
        """So many rows came."""
        self._value = self.at(now_s) + rows / _MEMORY_S
        self._at_s = now_s

    def at(self, now_s: float) -> float:
        """Rows per second, as of now."""
        if self._at_s is None:
            return 0.0
        return self._value * math.exp(-max(0.0, now_s - self._at_s) / _MEMORY_S)

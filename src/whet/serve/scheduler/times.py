"""How long a variant takes for so many rows: known from the bundle, and from what was seen since.

Deadlines are kept by quantiles, not by means: of each number of rows the last batches are kept in
order, and one in twenty may take longer than what is said. Numbers of rows that never ran lie on a
line between their neighbours; beyond the largest, time grows as rows do.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Times"]

_KEPT = 64  # batches of each number of rows
_QUANTILE = 0.95
_ENOUGH = 8  # from so many on, what was seen counts more than what the bundle says


@dataclass
class _Seen:
    recent: deque[float] = field(default_factory=deque)
    ordered: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        if len(self.recent) == _KEPT:
            oldest = self.recent.popleft()
            del self.ordered[bisect_left(self.ordered, oldest)]
        self.recent.append(seconds)
        insort(self.ordered, seconds)

    def quantile(self) -> float:
        return self.ordered[min(len(self.ordered) - 1, int(_QUANTILE * len(self.ordered)))]


class Times:
    """Seconds by rows, of one variant.

    Args:
        known: what the bundle says, by rows; may be empty.
        guess_s: for one row, where nothing is known.
    """

    def __init__(self, known: Mapping[int, float], guess_s: float = 0.01) -> None:
        self._known = dict(known)
        self._seen: dict[int, _Seen] = {}
        self._guess_s = guess_s
        self._table: list[tuple[int, float]] = []
        self._settle()

    def told(self, rows: int, seconds: float) -> None:
        """A batch of so many rows took so long."""
        self._seen.setdefault(rows, _Seen()).add(seconds)
        self._settle()

    def of(self, rows: int) -> float:
        """Seconds that so many rows take."""
        table = self._table
        if not table:
            return self._guess_s * rows
        place = bisect_left(table, (rows, 0.0))
        if place < len(table) and table[place][0] == rows:
            return table[place][1]
        if place == 0:
            return table[0][1]
        low, low_s = table[place - 1]
        if place == len(table):
            return low_s * rows / low
        high, high_s = table[place]
        return low_s + (high_s - low_s) * (rows - low) / (high - low)

    @property
    def largest(self) -> int:
        """The most rows that ever ran together; 0 where nothing did."""
        return self._table[-1][0] if self._table else 0

    def busiest(self, most: int) -> int:
        """The number of rows, up to a most, that gets most rows done in a time."""
        sizes = [rows for rows, _ in self._table if rows <= most] or [1]
        return max(sizes, key=lambda rows: (rows / self.of(rows), -rows))

    def filled(self, rows: int, most: int) -> int:
        """The number of rows to fill a batch up to, where more are seen to take clearly less."""
        own = self.of(rows)
        larger = [n for n, seconds in self._table if rows < n <= most and seconds < 0.9 * own]
        return min(larger, key=self.of, default=rows)

    def _settle(self) -> None:
        table = dict(self._known)
        for rows, seen in self._seen.items():
            if rows not in table or len(seen.recent) >= _ENOUGH:
                table[rows] = seen.quantile()
        self._table = sorted(table.items())

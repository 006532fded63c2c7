"""Requests that wait, in the order in which they are to be served.

Each has a place on one line of time: when it came, later by some milliseconds for each step of lower
priority. The earliest is served first; so a more important request overtakes what came shortly
before it, and nothing waits for ever.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

__all__ = ["Queue", "Waiting"]


@dataclass(frozen=True, order=True)
class Waiting:
    """A request as the scheduler sees it.

    Attributes:
        place_s: on the line of time by which requests are served.
        number: of the request; no two have the same.
        rows: that it brings.
        kind: requests run together only where theirs are equal.
        arrived_s: when it came.
        deadline_s: when it has to be answered.
    """

    place_s: float
    number: int
    rows: int = field(compare=False)
    kind: Hashable = field(compare=False)
    arrived_s: float = field(compare=False)
    deadline_s: float = field(compare=False, default=math.inf)


class Queue:
    """Requests in order: all of them, each kind, and by deadline."""

    def __init__(self) -> None:
        self._order: list[Waiting] = []
        self._kinds: dict[Hashable, list[Waiting]] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._by_number: dict[int, Waiting] = {}
        self.rows = 0

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Waiting]:
        """All of them, in order of their places."""
        return iter(self._order)

    @property
    def last(self) -> Waiting:
        """The one that is served last."""
        return self._order[-1]

    def put(self, request: Waiting) -> None:
        """Add a request."""
        insort(self._order, request)
        insort(self._kinds.setdefault(request.kind, []), request)
        insort(self._deadlines, (request.deadline_s, request.number))
        self._by_number[request.number] = request
        self.rows += request.rows

    def take(self, request: Waiting) -> None:
        """Remove a request that is there."""
        del self._by_number[request.number]
        own = self._kinds[request.kind]
        for ordered in (self._order, own):
            del ordered[bisect_left(ordered, request)]
        del self._deadlines[bisect_left(self._deadlines, (request.deadline_s, request.number))]
        if not own:
            del self._kinds[request.kind]
        self.rows -= request.rows

    def withdrawn(self, number: int) -> Waiting | None:
        """Remove a request by its number; ``None`` where it doesn't wait."""
        found = self._by_number.get(number)
        if found is not None:
            self.take(found)
        return found

    def rows_before(self, request: Waiting) -> int:
        """Rows that are served before a request, which needn't be here."""
        after = self._order[bisect_left(self._order, request) :]
        return self.rows - sum(other.rows for other in after)

    def by_deadline(self) -> Iterator[Waiting]:
        """All of them, the earliest deadline first; they may be taken meanwhile."""
        for _, number in tuple(self._deadlines):
            yield self._by_number[number]

    def first_of_kind(self) -> list[Waiting]:
        """The requests that may run with the one whose turn it is, in order; it comes first."""
        return self._kinds[self._order[0].kind] if self._order else []

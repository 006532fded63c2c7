"""How large a student may be: for each family its largest size that is fast enough; pure.

Latency comes first, since it is the one thing that shows before a student has learnt anything. Within
a family more multiplications are more capacity and take longer, so the largest size that is fast
enough is searched for along that order, each next size by what the last one took. What the order
says of a size that wasn't timed is a guess; so what is found is always one that was.

Between families multiplications say nothing of time (those of a depthwise convolution take several
times as long as those of a dense one), but as much of capacity as anything does that is known before
training, and students that begin with random weights need all they can have. So of those that are
fast enough the one that multiplies most comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from whet.optimize.network.students.zoo import Sized, Student

__all__ = ["SizeSearch", "lines_of"]

_NEAR = 1.25  # sizes nearer to each other than this aren't told apart


def lines_of(sized: Iterable[Sized]) -> tuple[tuple[Sized, ...], ...]:
    """The sizes of each family by what they multiply, the smallest first; of equals the first."""
    families: dict[str, dict[int, Sized]] = {}
    for each in sized:
        families.setdefault(each.student.family, {}).setdefault(each.macs, each)
    return tuple(tuple(line[macs] for macs in sorted(line)) for line in families.values())


@dataclass
class SizeSearch:
    """The largest size of each family that is fast enough, in few rounds of timing.

    Attributes:
        lines: of `lines_of`.
        most_share: of the time that is to be beaten, which a student may take.
    """

    lines: tuple[tuple[Sized, ...], ...]
    most_share: float
    _fast: dict[int, int] = field(default_factory=dict, init=False)
    _slow: dict[int, int] = field(default_factory=dict, init=False)
    _next: dict[int, int] = field(default_factory=dict, init=False)

    def ask(self) -> tuple[Student, ...]:
        """One size of each family in which something is left to be known; none in the end."""
        places = {i: self._place(i) for i in range(len(self.lines))}
        return tuple(
            self.lines[i][place].student for i, place in places.items() if place is not None
        )

    def tell(self, shares: Mapping[Student, float]) -> None:
        """What students took that were asked for, as shares of the time that is to be beaten."""
        for i, line in enumerate(self.lines):
            for place, each in enumerate(line):
                share = shares.get(each.student)
                if share is None:
                    continue
                if share <= self.most_share:
                    self._fast[i] = max(place, self._fast.get(i, -1))
                else:
                    self._slow[i] = min(place, self._slow.get(i, len(line)))
                wanted = each.macs * self.most_share / max(share, 1e-9)
                self._next[i] = max(0, sum(other.macs <= wanted for other in line) - 1)

    def found(self) -> tuple[Sized, ...]:
        """Of each family the largest size that was fast enough, the one that multiplies most first."""
        best = (self.lines[i][place] for i, place in self._fast.items())
        return tuple(sorted(best, key=lambda each: -each.macs))

    def _place(self, i: int) -> int | None:
        line = self.lines[i]
        low, high = self._fast.get(i, -1), self._slow.get(i, len(line))
        first, last = low + 1, high - 1
        if first > last:
            return None
        if low >= 0 and line[last].macs < _NEAR * line[low].macs:
            return None
        middle = (first + last) // 2
        return min(max(self._next.get(i, middle), first), last)

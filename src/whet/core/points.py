"""Which of several measured percentiles to show."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Percentile

__all__ = ["shared_percentile", "shown_point"]


def shown_point(points: Iterable[Percentile], asked: float | None) -> Percentile | None:
    """The percentile that the contract is about; else the highest that was measured.

    Args:
        points: of one contender.
        asked: the contract's percentile; ``None`` where no contract is known.
    """
    known = tuple(points)
    exact = next((p for p in known if p.q == asked), None)
    return exact or max(known, key=lambda p: p.q, default=None)


def shared_percentile(groups: Iterable[Iterable[Percentile]], asked: float) -> float:
    """The percentile asked for where all contenders have it; else the highest below that all share.

    Different percentiles can't stand on one axis, or in one column.

    Args:
        groups: the points of each contender.
        asked: the contract's percentile.
    """
    every = [{p.q for p in points} for points in groups]
    common = set.intersection(*every) if every else set()
    return asked if asked in common else max((q for q in common if q < asked), default=asked)

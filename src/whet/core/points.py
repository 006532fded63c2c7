"""Which of several measured percentiles to show."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Percentile

__all__ = ["shown_point"]


def shown_point(points: Iterable[Percentile], asked: float | None) -> Percentile | None:
    """The percentile that the contract is about; else the highest that was measured.

    Args:
        points: of one contender.
        asked: the contract's percentile; ``None`` where no contract is known.
    """
    known = tuple(points)
    exact = next((p for p in known if p.q == asked), None)
    return exact or max(known, key=lambda p: p.q, default=None)

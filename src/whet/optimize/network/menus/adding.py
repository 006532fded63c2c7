"""Whether damages of single blocks add up, as far as it takes to rank plans by their sums; pure."""

from __future__ import annotations

from collections.abc import Sequence

from whet.optimize.network.menus.menu import Combined

__all__ = ["add_up", "rank_correlation"]

_LEAST = 0.8  # below it sums of damages say little


def add_up(combined: Sequence[Combined]) -> bool:
    """Whether sums of damages rank combinations well enough; so where nothing says otherwise."""
    found = rank_correlation(combined)
    return found is None or found >= _LEAST


def rank_correlation(combined: Sequence[Combined]) -> float | None:
    """How well sums of damages rank combinations (Spearman); ``None`` where none differ."""
    ranks = [_ranks([getattr(c, key) for c in combined]) for key in ("alone", "together")]
    mean = (len(combined) - 1) / 2
    both, *own = (
        sum((a - mean) * (b - mean) for a, b in zip(x, y, strict=True))
        for x, y in ((ranks[0], ranks[1]), (ranks[0], ranks[0]), (ranks[1], ranks[1]))
    )
    spread = (own[0] * own[1]) ** 0.5
    return both / spread if spread else None


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 0; equal values share the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]

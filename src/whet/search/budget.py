"""How the time of a search is spent; pure, time is an argument.

A search has three kinds of time: climbing (trying candidates), closing
(re-measuring the finalists, certifying, packing) and the fixed start (reading,
exporting). Climbing must leave enough for closing, so that the budget as a
whole is kept to within 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Budget", "closing_reserve_s", "race_s"]

_LEAST_RACE_S = 10.0
_CONTENDER_S = 20.0  # that the last race gives each contender, where no proof asks for more
_RACE_SHARE = 0.6  # of what the last race takes, spent on queries; the rest starts its processes
_ANSWERING = 0.75  # of a race's own time; in the rest its contenders warm up
# Layers, cold start and golden answers of the finalists, each in fresh processes.
_PACKING_S = 12.0


def closing_reserve_s(answers_s: float, total_s: float | None, proof_s: float = 0.0) -> float:
    """What closing will take: answers to certify by, the last race, packing.

    The race gets a quarter of a short budget and 45 s of a long one, but never less
    than the shortest race takes, nor than the proof of a tail limit does.

    Args:
        answers_s: of the original and the finalists on the certify part.
        total_s: the whole budget; ``None`` for no limit.
        proof_s: for the queries that prove a limit (`whet.search.tail_proof`).
    """
    quarter = 45.0 if total_s is None else min(45.0, total_s / 4)
    race = max(_LEAST_RACE_S, proof_s / _ANSWERING)
    return answers_s + max(race / _RACE_SHARE, quarter) + _PACKING_S


def race_s(left_s: float, contenders: int, proof_s: float = 0.0) -> float:
    """Time for the last race: at least 10 s, at most 20 s a contender or what its proof takes.

    Args:
        left_s: of the whole budget, of which packing takes its part first.
        contenders: how many run in it.
        proof_s: for the queries that prove a limit (`whet.search.tail_proof`).
    """
    most = max(_CONTENDER_S * contenders, proof_s / _ANSWERING)
    return max(_LEAST_RACE_S, min(most, _RACE_SHARE * (left_s - _PACKING_S)))


@dataclass(frozen=True)
class Budget:
    """A time budget that started at ``start_s`` on some monotonic clock.

    Attributes:
        start_s: when the search began.
        total_s: all that it may take; ``None`` for no limit.
        closing_s: expected cost of closing, kept in reserve.
    """

    start_s: float
    total_s: float | None
    closing_s: float = 0.0

    def elapsed_s(self, now_s: float) -> float:
        return now_s - self.start_s

    def left_s(self, now_s: float) -> float:
        """Seconds left before the end of the whole budget; infinite without one."""
        if self.total_s is None:
            return float("inf")
        return max(0.0, self.start_s + self.total_s - now_s)

    def climbing_s(self, now_s: float) -> float:
        """Seconds left for trying candidates, with closing held in reserve."""
        return max(0.0, self.left_s(now_s) - self.closing_s)

    def affords(self, now_s: float, expected_s: float) -> bool:
        """Whether something that should take ``expected_s`` still fits before closing."""
        return expected_s <= self.climbing_s(now_s)

    def ended(self, now_s: float) -> Budget:
        """The same budget for a climb that ends now: only the reserve for closing is left."""
        left_s = min(self.left_s(now_s), self.closing_s)
        return Budget(self.start_s, self.elapsed_s(now_s) + left_s, self.closing_s)

    def reserving(self, closing_s: float) -> Budget:
        """The same budget with another reserve, at most half of the total."""
        cap = closing_s if self.total_s is None else min(closing_s, self.total_s / 2)
        return Budget(self.start_s, self.total_s, cap)

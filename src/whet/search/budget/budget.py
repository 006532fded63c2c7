"""How the time of a search is spent; pure, time is an argument.

A search has three kinds of time: climbing (trying candidates), closing
(re-measuring the finalists, certifying, packing) and the fixed start (reading,
exporting). Climbing must leave enough for closing, so that the budget as a
whole is kept to within 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from whet.core.recipe import Recipe

__all__ = [
    "START_S",
    "Budget",
    "Skipped",
    "closing_reserve_s",
    "packing_s",
    "race_s",
    "shortest_race_s",
]

START_S = 1.5
"""What a process takes that opens an engine, until trials say how long it takes here."""

_LEAST_RACE_S = 10.0  # of a long budget
_SHORTEST_RACE_S = 5.0
_LEAST_RACE_SHARE = 0.1
_RACE_RESERVE_SHARE = 0.2
_CONTENDER_S = 20.0  # that the last race gives each contender, where no proof asks for more
# Of what is kept for the last race, what its plan may take; the rest is for processes that start
# slowly. It shrinks with the time that a process was seen to take.
_STARTING_SHARE = 0.4
_ANSWERING = 0.75  # of a race's own time; in the rest its contenders warm up
# Layers, cold start and golden answers of the finalists, each in fresh processes. The first two
# are left out where time is short (`whet.search.budget.extras`), so a short budget keeps less
# for them.
_PACKING_S = 12.0
_PACKING_SHARE = 0.1
_LEAST_PACKING_S = 3.0  # half of it for processes


def closing_reserve_s(
    answers_s: float, total_s: float | None, proof_s: float = 0.0, *, start_s: float = START_S
) -> float:
    """What closing will take: answers to certify by, the last race, packing.

    The race gets a fifth of a short budget and 45 s of a long one, but never less
    than the shortest race takes, nor than the proof of a tail limit does.

    Args:
        answers_s: of the original and the finalists on the certify part.
        total_s: the whole budget; ``None`` for no limit.
        proof_s: for the queries that prove a limit (`whet.search.budget.tail_proof`).
        start_s: what a process takes here (`whet.search.budget.pace.start_s`).
    """
    share = 45.0 if total_s is None else min(45.0, _RACE_RESERVE_SHARE * total_s)
    race = max(shortest_race_s(total_s), proof_s / _ANSWERING)
    return answers_s + max(race / _race_share(start_s), share) + packing_s(total_s, start_s=start_s)


def shortest_race_s(total_s: float | None) -> float:
    """Seconds of the shortest last race: a tenth of the budget, between 5 and 10."""
    share = _LEAST_RACE_S if total_s is None else _LEAST_RACE_SHARE * total_s
    return max(_SHORTEST_RACE_S, min(_LEAST_RACE_S, share))


def packing_s(total_s: float | None, *, start_s: float = START_S) -> float:
    """Seconds kept for packing: a tenth of the budget, between 3 (less where processes start
    fast) and 12.
    """
    share = _PACKING_S if total_s is None else _PACKING_SHARE * total_s
    return max(_LEAST_PACKING_S * (1 + start_s / START_S) / 2, min(_PACKING_S, share))


def _race_share(start_s: float) -> float:
    return 1 - _STARTING_SHARE * start_s / START_S


def race_s(
    left_s: float,
    contenders: int,
    proof_s: float = 0.0,
    *,
    total_s: float | None = None,
    start_s: float = START_S,
) -> float:
    """Time for the last race: at most 20 s a contender or what its proof takes.

    It is at least 10 s, a tenth of a short budget, and 5 s in any case.

    Args:
        left_s: of the whole budget, of which packing takes its part first.
        contenders: how many run in it.
        proof_s: for the queries that prove a limit (`whet.search.budget.tail_proof`).
        total_s: the whole budget; ``None`` for no limit.
        start_s: what a process takes here (`whet.search.budget.pace.start_s`).
    """
    most = max(_CONTENDER_S * contenders, proof_s / _ANSWERING)
    share_s = _race_share(start_s) * (left_s - packing_s(total_s, start_s=start_s))
    return max(shortest_race_s(total_s), min(most, share_s))


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


@dataclass(frozen=True)
class Skipped:
    """A candidate for which there was no time.

    Attributes:
        recipe: of it.
        need_s: seconds of a budget that would have held it.
    """

    recipe: Recipe
    need_s: float

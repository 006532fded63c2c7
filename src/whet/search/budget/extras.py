"""What closing does only where the time left holds it; pure.

The original in torch (a second column), the layer profile and cold starts explain a result and
decide nothing. Each is left out, with a note, before the budget is broken for it.
"""

from __future__ import annotations

from whet.core.note import Note
from whet.core.units import seconds_words
from whet.search.budget.budget import START_S, race_s, shortest_race_s

__all__ = [
    "COLD_STARTS",
    "affords_torch",
    "cold_starts_that_fit",
    "cut_short_notes",
    "layers_fit",
    "left_out",
]

COLD_STARTS = 3

_TORCH_START_S = 3.0
_RESTARTS = 2  # of a short race
_STARTING = 0.7  # of a race, that its starts may take
_GOLDEN_S = 1.5  # of each finalist: its answers, its files
_PROFILE_S = 1.0
_WARM_S = 1.0


def affords_torch(
    left_s: float, contenders: int, total_s: float | None, *, start_s: float = START_S
) -> bool:
    """Whether the last race has time for the original in torch, whose process starts slowly.

    Args:
        left_s: of the whole budget, before the last race.
        contenders: without it.
        total_s: the whole budget; ``None`` for no limit.
        start_s: what a process of the others takes here (`whet.search.budget.pace.start_s`).
    """
    starts_s = _RESTARTS * (_TORCH_START_S + contenders * start_s)
    race = race_s(left_s, contenders, total_s=total_s, start_s=start_s)
    return race >= starts_s / _STARTING


def layers_fit(left_s: float, finalists: int) -> bool:
    """Whether a layer profile leaves the finalists' golden answers their time."""
    return left_s >= finalists * _GOLDEN_S + START_S + _PROFILE_S


def cold_starts_that_fit(left_s: float, finalists: int) -> int:
    """Cold starts to time, of which there are three in a long budget, else one or none.

    Args:
        left_s: of the whole budget, when the layers are done.
        finalists: whose golden answers are still to come.
    """
    for count in (COLD_STARTS, 1):
        if left_s >= finalists * _GOLDEN_S + (1 + count) * START_S + _WARM_S:
            return count
    return 0


def left_out(where: str) -> Note:
    """Why a part of closing has no result."""
    return Note(where, "It was left out: the time budget was nearly spent.")


def cut_short_notes(
    left_s: float, contenders: int, total_s: float | None, *, start_s: float = START_S
) -> tuple[Note, ...]:
    """That the last race was as short as it can be, where it was.

    Args:
        left_s: of the whole budget, before it.
        contenders: in it.
        total_s: the whole budget; ``None`` for no limit.
        start_s: what a process takes here (`whet.search.budget.pace.start_s`).
    """
    least_s = shortest_race_s(total_s)
    if race_s(left_s, contenders, total_s=total_s, start_s=start_s) > least_s:
        return ()
    reason = (
        "The time budget was nearly spent, so the last race was cut to its least,"
        f" {seconds_words(least_s)}: fewer queries, so that high percentiles may be missing and small"
        " differences stay open."
    )
    return (Note("race", reason),)

"""The least that a search takes, told before it breaks a budget that is shorter; pure."""

from __future__ import annotations

from whet.core.note import Note
from whet.core.units import seconds_words
from whet.search.budget.budget import START_S, packing_s, shortest_race_s

__all__ = ["least_after_setup_s", "too_short_notes", "used_up_notes"]

# On an idle machine, for a small network.
_SETUP_S = 6.0
_UNTOUCHED_S = 2.0  # an untouched engine: compiled, timed, compared
_ENGINE_START_S = 0.5
_RUNTIMES = 2
_ENOUGH_S = 60

_PARTS = "set-up, timing and proving the untouched graph, the last race, packing"


def least_after_setup_s(runtimes: int, certify_rows: int, original_ms: float) -> float:
    """Seconds that a search without any candidate takes after set-up.

    Args:
        runtimes: that run the untouched graph.
        certify_rows: that the original and the best untouched engine answer.
        original_ms: what the original takes for a row.
    """
    answers_s = START_S + _ENGINE_START_S + 2 * certify_rows * original_ms / 1e3
    packing = packing_s(0.0, start_s=_ENGINE_START_S)
    return runtimes * _UNTOUCHED_S + answers_s + shortest_race_s(0.0) + packing


def too_short_notes(budget_s: float | None) -> tuple[Note, ...]:
    """That no network could be searched in this budget, before anything is known of it."""
    least_s = _SETUP_S + least_after_setup_s(_RUNTIMES, 0, 0.0)
    if budget_s is None or budget_s >= least_s:
        return ()
    reason = (
        f"{seconds_words(budget_s)} are less than what is never left out ({_PARTS}): that takes"
        f" about {seconds_words(least_s)} even for a small network on an idle machine, and tries no"
        " candidate. A"
        f" --budget of {_ENOUGH_S}s or more tries some."
    )
    return (Note("budget", reason),)


def used_up_notes(elapsed_s: float, rest_s: float, budget_s: float | None) -> tuple[Note, ...]:
    """That set-up left too little, and when the search will end.

    Args:
        elapsed_s: when set-up ended.
        rest_s: from `least_after_setup_s`.
        budget_s: the whole; ``None`` for no limit.
    """
    if budget_s is None or elapsed_s + rest_s <= budget_s:
        return ()
    reason = (
        f"Set-up took {seconds_words(elapsed_s)} of {seconds_words(budget_s)}. What is never left out"
        f" takes about {seconds_words(rest_s)} more on an idle machine, so the search ends at about"
        f" {seconds_words(elapsed_s + rest_s)}, without further candidates."
    )
    return (Note("budget", reason),)

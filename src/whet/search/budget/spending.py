"""Where the time of a search went, for the note of one that took too long; pure."""

from __future__ import annotations

from collections.abc import Sequence

from whet.core.note import Note
from whet.core.units import seconds_words

__all__ = ["EXCEEDED", "Mark", "over_notes", "spans"]

Mark = tuple[str, float]
"""What began, and how many seconds into the search."""

EXCEEDED = "budget exceeded"
"""Where the note of a search that took too long stands: it belongs to the verdict."""

_MARGIN = 1.1  # a budget is honoured to within this share
_NAMED = 4


def spans(marks: Sequence[Mark], end_s: float) -> dict[str, float]:
    """Seconds by what was being done, the longest first; what came back is added up.

    Args:
        marks: in the order of time.
        end_s: when the last one ended.
    """
    found: dict[str, float] = {}
    ends = [*(at for _, at in marks[1:]), end_s][: len(marks)]
    for (title, at), until in zip(marks, ends, strict=True):
        found[title] = found.get(title, 0.0) + max(0.0, until - at)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def over_notes(marks: Sequence[Mark], seconds: float, budget_s: float | None) -> tuple[Note, ...]:
    """Say so where a search took more than its budget, and what took how long.

    Args:
        marks: of all that was done.
        seconds: that it took.
        budget_s: that it should have taken at most; ``None`` for no limit.
    """
    if budget_s is None or seconds <= _MARGIN * budget_s:
        return ()
    longest = [(title, took) for title, took in spans(marks, seconds).items() if took >= 0.5]
    words = ", ".join(f"{title} {seconds_words(took)}" for title, took in longest[:_NAMED])
    reason = (
        f"The search took {seconds_words(seconds)}, its budget was {seconds_words(budget_s)}:"
        f" {words}."
        " Reading, exporting, timing the untouched graph, the last race and packing are never"
        " left out; a longer budget tries more."
    )
    return (Note(EXCEEDED, reason),)

"""Untouched engines that failed: gaps in "the best untouched runtime"; pure.

Every speed-up is quoted against the best untouched engine, and the promise
"never slower" rests on it. Where one of them crashed, came too late or ran out
of memory, nobody knows whether it would have been the best: the outcome says so.
One that was refused can't run this network here, so it leaves no gap.
"""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Trial
from whet.core.note import Note
from whet.search.decisions.endings import holds, reason_of
from whet.search.decisions.figures import is_untouched

__all__ = ["gap_notes", "gap_sentence", "gaps"]


def gaps(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The untouched trials that failed for a reason that may pass."""
    return tuple(t for t in trials if is_untouched(t) and not holds(t))


def gap_notes(trials: Iterable[Trial]) -> tuple[Note, ...]:
    """One note per gap, with the reason and what comes of it."""
    return tuple(
        Note(
            t.name,
            f"Untouched, it {_ended(t)}, so the best untouched engine is only the best of those"
            f" that ran. The next run tries it again. {reason_of(t)}",
        )
        for t in gaps(trials)
    )


def gap_sentence(trials: Iterable[Trial]) -> str:
    """The gaps in one sentence; empty where there are none."""
    found = [f"{t.name} ({t.status.value})" for t in gaps(trials)]
    if not found:
        return ""
    return (
        f"Not compared with every untouched engine: {', '.join(found)}; run it again to try"
        f" {'them' if len(found) > 1 else 'it'} once more."
    )


def _ended(trial: Trial) -> str:
    return {"out of memory": "ran out of memory"}.get(trial.status.value, trial.status.value)

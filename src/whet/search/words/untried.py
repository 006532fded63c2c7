"""What was not tried: "nothing proven is faster" means little where int8 never ran; pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from whet.core.evidence import Trial
from whet.core.note import Note
from whet.core.recipe import Recipe
from whet.search.budget.budget import Skipped
from whet.search.decisions.footing import arithmetic_of

__all__ = ["Untried", "Why", "untried", "untried_notes"]

_MARGIN = 1.2  # of a budget that is advised
_STEP_S = 10


class Why(enum.StrEnum):
    """What ended the climb before int8."""

    TIME = "for lack of time"
    STOPPED = "because the search was stopped"
    ENOUGH = "because the limit is kept already"


@dataclass(frozen=True)
class Untried:
    """That int8 was not tried, although a runtime here has it.

    Attributes:
        why: it wasn't.
        probed: it was timed, with ranges from a handful of samples.
        budget_s: that should hold one candidate of it, where time was short.
    """

    why: Why
    probed: bool = False
    budget_s: float | None = None

    @property
    def words(self) -> str:
        """``"int8 was not tried for lack of time (a --budget of 90s should allow it)"``."""
        what = "int8 was only probed, on a few samples," if self.probed else "int8 was not tried"
        allow = f" (a --budget of {self.budget_s:.0f}s should allow it)" if self.budget_s else ""
        return f"{what} {self.why.value}{allow}"


def untried(
    trials: Iterable[Trial],
    proposed: Collection[Recipe],
    skipped: Collection[Skipped],
    *,
    stopped: bool,
) -> Untried | None:
    """Whether int8 was left out, and why; ``None`` where it was tried or nothing here has it.

    Args:
        trials: all of the search.
        proposed: the int8 candidates that come first.
        skipped: the candidates for which there was no time.
        stopped: the user ended the climb.
    """
    integer = [t for t in trials if arithmetic_of(t.recipe) == "int8"]
    if not proposed or any(t.rung != 0 for t in integer):
        return None
    # Their settings follow the best untouched trial, which may have changed since.
    meant = {(r.runtime, r.build_digest()) for r in proposed}
    needs = [s.need_s for s in skipped if (s.recipe.runtime, s.recipe.build_digest()) in meant]
    if needs:
        budget_s = _STEP_S * math.ceil(_MARGIN * min(needs) / _STEP_S)
        return Untried(Why.TIME, probed=bool(integer), budget_s=budget_s)
    why = Why.STOPPED if stopped else Why.ENOUGH
    return Untried(why, probed=bool(integer))


def untried_notes(found: Untried | None, skipped: Collection[Skipped]) -> tuple[Note, ...]:
    """What the reader should know of candidates for which there was no time.

    Args:
        found: from `untried`.
        skipped: all of them that weren't tried later either.
    """
    short = found is not None and found.why is Why.TIME
    if not skipped and not short:
        return ()
    count = len(skipped)
    many = f"{count} candidate{'s were' if count != 1 else ' was'} not tried for lack of time"
    if found is None or not short:
        return (Note("budget", f"{many}; a longer --budget tries more."),)
    return (Note("budget", f"{found.words[:1].upper()}{found.words[1:]}; in all, {many}."),)

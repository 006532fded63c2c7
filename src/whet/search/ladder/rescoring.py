"""Plans of rung 3 scored together, where damages of single blocks don't add up."""

from __future__ import annotations

import time
from collections.abc import Mapping

from whet.core.evidence import Trial
from whet.optimize.network.menus.adding import rank_correlation
from whet.optimize.network.menus.menu import Choices, Rescored, Scored
from whet.search.ladder.menus import rescore_job
from whet.search.ladder.side_jobs import side_job
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.workers.rescore_jobs import RescoreJob

__all__ = ["rescored_within"]

_WHERE = "surgery"
_LOOKS = 600  # at most
_ADDED = "they are ranked by sums all the same, and better ones may exist"
_NO_TIME = f"the time left didn't allow scoring plans together, so {_ADDED}"


def rescored_within(
    setup: Setup,
    trials: Trials,
    base: Trial,
    choices: Choices,
    ms: Mapping[str, float],
    seconds: float,
) -> tuple[Scored, ...] | None:
    """Plans with damages that were measured together, as many as there is time for.

    What was looked at is kept, and a search that goes on where another was stopped looks at more.

    Args:
        setup: of the search.
        trials: so far.
        base: whose passes and settings the changed network gets.
        choices: the menus.
        ms: that each graph of a block takes, by its path.
        seconds: that it may take.

    Returns:
        ``None`` where there are none beyond single blocks, which is told.
    """
    job = rescore_job(setup, _times(choices, ms), seconds, _LOOKS)
    key = f"rescored-{base.recipe.digest()}-{job.plan.digest()}"
    found = trials.ledger.get_as(key, Rescored)
    if found is None and not trials.budget.affords(time.monotonic(), seconds):
        said = _NO_TIME
    else:
        found = found or _rescored(setup, trials, job)
        said = _outcome(found)
    if found is not None and found.whole:
        trials.ledger.put(key, found)
    trials.tell.remark(_WHERE, f"{_why(choices)}; {said}.")
    return found.scored if found is not None and _tells(found) else None


def _rescored(setup: Setup, trials: Trials, job: RescoreJob) -> Rescored | None:
    trials.tell.phase("scoring changes of several blocks together")
    return side_job(
        setup,
        trials,
        "whet.search.workers.rescore_jobs:rescored_network",
        job,
        Rescored,
        where=_WHERE,
        failing="Changes of several blocks could not be scored together",
    )


def _times(choices: Choices, ms: Mapping[str, float]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(ms[choice.graph.path] for choice in menu) for menu in choices.menus)


def _why(choices: Choices) -> str:
    found = rank_correlation(choices.combined) or 0.0
    return (
        "Damages of single blocks don't add up here (their sums rank combinations with a"
        f" correlation of {found:.2f})"
    )


def _outcome(found: Rescored | None) -> str:
    if found is None:
        return f"as plans could not be scored together, {_ADDED}"
    if not _tells(found):
        return _NO_TIME
    ended = "" if found.whole else ", as far as the time for it went"
    return f"plans were scored together instead (looks at such plans: {found.looks}{ended})"


def _tells(found: Rescored) -> bool:
    """Whether it says more than single blocks do."""
    return found.whole or found.looks > 0

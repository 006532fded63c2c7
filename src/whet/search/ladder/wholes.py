"""What changes the network as a whole, made and timed once for all plans of rung 3."""

from __future__ import annotations

import time

from whet.core.artifact import Artifact
from whet.core.evidence import Trial
from whet.optimize.network.menus.menu import Wholes
from whet.search.ladder.menus import costs_job, wholes_job
from whet.search.ladder.side_jobs import side_job
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.solver.wholes import WholeEntry
from whet.search.workers.surgery_jobs import Costs

__all__ = ["costs_of", "wholes_within"]

_MAKING = 0.6  # of the time; the rest is for timing


def wholes_within(
    setup: Setup, trials: Trials, base: Trial, seconds: float
) -> tuple[WholeEntry, ...]:
    """Changes of the whole with what each costs; none where there isn't the time for it.

    Args:
        setup: of the search.
        trials: so far.
        base: whose passes and settings the changed network gets.
        seconds: that it may take.
    """
    if not trials.budget.affords(time.monotonic(), seconds):
        trials.tell.remark(
            "surgery",
            "The time left didn't allow a slimmer stream, smaller pictures or fewer tokens.",
        )
        return ()
    trials.tell.phase("finding what the network could become as a whole")
    found = side_job(
        setup,
        trials,
        "whet.search.workers.surgery_jobs:network_wholes",
        wholes_job(setup, _MAKING * seconds),
        Wholes,
        where="surgery",
        failing="Its stream, its pictures and its tokens stay as they are",
    )
    if found is None:
        return ()
    for note in found.notes:
        trials.tell.remark(note.where, note.reason)
    if not found.entries:
        return ()
    graphs = (found.untouched, *(entry.graph for entry in found.entries))
    timing_s = (1 - _MAKING) * seconds
    costs = costs_of(
        setup, trials, base, graphs, "network", "timing the network as a whole", timing_s
    )
    if costs is None:
        return ()
    if len(costs.ms) < len(graphs):
        trials.tell.remark(
            "surgery",
            f"The time left allowed timing {len(costs.ms) - 1} of {len(found.entries)} changes of"
            " the network as a whole.",
        )
    untouched_ms, *ms = costs.ms
    return tuple(
        WholeEntry(entry.step, own_ms / untouched_ms, entry.damage, entry.stays)
        for entry, own_ms in zip(found.entries, ms, strict=False)
    )


def costs_of(
    setup: Setup,
    trials: Trials,
    base: Trial,
    graphs: tuple[Artifact, ...],
    what: str,
    doing: str,
    seconds: float | None = None,
) -> Costs | None:
    """What each graph takes, remembered by the ledger so that a resumed search proposes the same.

    Args:
        setup: of the search.
        trials: so far.
        base: with whose passes and settings.
        graphs: that are timed in turn.
        what: they are, in one word.
        doing: what is said to be done meanwhile.
        seconds: that it may take; what is timed by then counts, and isn't remembered.
    """
    key = f"{what}-costs-{base.recipe.digest()}"
    kept = trials.ledger.get_as(key, Costs)
    if kept is not None and len(kept.ms) == len(graphs):
        return kept
    trials.tell.phase(doing)
    found = side_job(
        setup,
        trials,
        "whet.search.workers.surgery_jobs:block_costs",
        costs_job(setup, base.recipe, graphs, seconds),
        Costs,
        where="surgery",
        failing=f"The {what}s could not be timed",
    )
    if found is not None and len(found.ms) == len(graphs):
        trials.ledger.put(key, found)
    return found

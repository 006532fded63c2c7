"""Rung 3: the network itself changed, by one solver over measured menus of its blocks.

What each block may become is tried alone: its damage to the answers, after a repair, and what it
takes in the runtime that will run it. The solver puts the choices together to a frontier of plans;
halving finds the fastest of them that keeps the floor. A plan is a candidate like any other: built,
timed, judged, and certified or not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from whet.core.evidence import Status, Trial
from whet.core.note import Note
from whet.core.recipe import Recipe, Step
from whet.optimize.network.menus.adding import add_up
from whet.optimize.network.menus.menu import ROWS, Choices
from whet.search.decisions.decide import promising
from whet.search.decisions.figures import query_ms, speed
from whet.search.decisions.outlook import SURE
from whet.search.ladder.menus import menus_job, tail_of
from whet.search.ladder.rescoring import rescored_within
from whet.search.ladder.rungs import GRAPHS
from whet.search.ladder.side_jobs import side_job
from whet.search.ladder.trials import Trials
from whet.search.ladder.variations import LEARNT, TO_GRAPH
from whet.search.ladder.waves import enough, good
from whet.search.ladder.wholes import costs_of, wholes_within
from whet.search.setup import Setup
from whet.search.solver.proposals import FrontierSearch, Proposal, corrected_ms, proposals
from whet.search.solver.wholes import AFTER_REPAIR, with_wholes

__all__ = ["Operated", "Predictions", "operate", "recipe_of", "start_of", "told"]

_RUNG = 3
_PREDICTION = "prediction"
# A candidate whose speed is known less closely corrects no predictions: one unlucky race would
# make all plans look slow.
_TELLING = 1.25
# Making menus takes about as long as the untouched graph takes for so many answers to each sample.
_MENUS_ANSWERS = 125
_MENUS_LEAST_S = 15.0
# For what changes the network as a whole: of the time of the menus, and at least.
_WHOLES_SHARE, _WHOLES_LEAST_S = 0.25, 15.0
# For plans that are scored together, likewise.
_RESCORING_SHARE, _RESCORING_LEAST_S = 0.5, 20.0


@dataclass(frozen=True)
class Operated:
    """Where surgery ended.

    Attributes:
        points: plans, the gentlest first; none where there was nothing to do.
        predictions: what was said of them, and seen.
        block_ms: what each block takes as it is, in the base's runtime; none where it wasn't timed.
    """

    points: tuple[Proposal, ...]
    predictions: Predictions
    block_ms: Mapping[str, float] = field(default_factory=dict)


def operate(setup: Setup, trials: Trials, *, share: float = 1.0) -> Operated | None:
    """Change the network where there is one, as far as the floor and the time allow.

    Args:
        setup: of the search.
        trials: so far.
        share: of the time left that menus may take; where they take more, nothing is done.

    Returns:
        What there is to go on with; ``None`` where there is sense in asking again.
    """
    base = start_of(setup, trials)
    if base is None or enough(setup, trials):
        return None
    nothing = Operated((), Predictions(trials, base))
    if setup.program is None:
        trials.tell.remark(
            "surgery", "The network came as a graph, so its layers stay as they are."
        )
        return nothing
    rows = min(ROWS, len(setup.learnt_from))
    need_s = _MENUS_LEAST_S + _MENUS_ANSWERS * rows * setup.original_ms / 1e3
    if share < 1 and need_s > share * trials.climbing_s():
        return None
    if not trials.budget.affords(time.monotonic(), need_s):
        trials.tell.remark("surgery", "The time left didn't allow menus of the network's blocks.")
        return nothing
    choices = _choices(setup, trials)
    if choices is None:
        return nothing
    rescoring_s = max(_RESCORING_LEAST_S, _RESCORING_SHARE * need_s)
    points, block_ms = _points(setup, trials, base, choices, rescoring_s)
    wholes_s = max(_WHOLES_LEAST_S, _WHOLES_SHARE * need_s)
    wholes = wholes_within(setup, trials, base, wholes_s)
    whole_ms = query_ms(base.latency)
    if wholes and whole_ms is not None:
        points = with_wholes(points, wholes, whole_ms)
    found = replace(nothing, points=points, block_ms=block_ms)
    _try(setup, trials, base, found)
    return found


def _try(setup: Setup, trials: Trials, base: Trial, found: Operated) -> None:
    """Halve the frontier by the floor, while there is time."""
    search, predictions = FrontierSearch(found.points), found.predictions
    while (point := search.ask()) is not None and not enough(setup, trials):
        if not predictions.promise(point, start_of(setup, trials) or base):
            return
        trial = trials.attempt(recipe_of(point, base), _RUNG)
        if trial is None:
            return
        told(search, setup, predictions.told(point, trials.judge(trial)))


def told(search: FrontierSearch, setup: Setup, trial: Trial) -> None:
    """Let the search know how a point did that it asked for."""
    quality = trial.select
    lost = quality.drop / quality.allowed if quality is not None and quality.allowed else None
    good = promising(trial, setup.contract, setup.certify.samples, least=SURE)
    search.tell(good=good, lost=lost)


@dataclass
class Predictions:
    """What blocks said that plans would take, beside what they took."""

    trials: Trials
    base: Trial
    seen: list[tuple[float, float]] = field(default_factory=list)

    def promise(self, point: Proposal, best: Trial) -> bool:
        """Whether a plan should be faster than the best that is good, as far as is known by now.

        Gentler plans aren't then either.
        """
        whole_ms = query_ms(self.base.latency)
        if whole_ms is None or not speed(best):
            return True
        best_ms = whole_ms * speed(self.base) / speed(best)
        return corrected_ms(point.ms, whole_ms, self.seen) < best_ms

    def told(self, point: Proposal, trial: Trial) -> Trial:
        """The trial with a note of both, where it ran; later predictions are corrected by it."""
        whole_ms = query_ms(self.base.latency)
        if whole_ms is None or trial.speedup is None or not speed(trial):
            return trial
        measured_ms = whole_ms * speed(self.base) / speed(trial)
        said_ms = corrected_ms(point.ms, whole_ms, self.seen)
        if trial.speedup.high <= _TELLING * trial.speedup.low:
            self.seen.append((point.ms, measured_ms))
        off = said_ms / measured_ms - 1
        reason = (
            f"Its blocks let expect {said_ms:.3g} ms; it took {measured_ms:.3g} ms ({off:+.0%})."
        )
        if not any(note.where == _PREDICTION for note in trial.notes):
            notes = (*trial.notes, Note(_PREDICTION, reason))
            trial = msgspec.structs.replace(trial, notes=notes)
            self.trials.update(trial)
        return trial


def start_of(setup: Setup, trials: Trials) -> Trial | None:
    """The candidate whose passes and settings the changed network gets: the fastest that is good.

    None whose int8 was learnt: that comes of its network, and none of it would be left.
    """
    able = [
        t
        for t in trials.all.values()
        if t.status is Status.OK
        and t.recipe.runtime in GRAPHS
        and not t.recipe.has(LEARNT)
        and good(setup, t)
    ]
    return max(able, key=speed, default=None)


def recipe_of(point: Proposal, base: Trial, *after: Step) -> Recipe:
    """A plan, its repair and what comes after it, with the passes and settings of the base."""
    last = tuple(step for step in point.steps if step.name in AFTER_REPAIR)
    first = tuple(step for step in point.steps if step not in last)
    repaired = (*first, Step("repair")) if first else ()
    steps = (*repaired, *last, *after, TO_GRAPH, *tail_of(base.recipe))
    return Recipe(steps, base.recipe.runtime, base.recipe.settings)


def _choices(setup: Setup, trials: Trials) -> Choices | None:
    """The menus; ``None`` where there is nothing to choose."""
    trials.tell.rung(_RUNG)
    trials.tell.phase("finding what each block of the network could become")
    found = side_job(
        setup,
        trials,
        "whet.search.workers.surgery_jobs:network_menus",
        menus_job(setup),
        Choices,
        where="surgery",
        failing="The network stays as it is",
    )
    for note in found.notes if found is not None else ():
        trials.tell.remark(note.where, note.reason)
    return found


def _points(
    setup: Setup, trials: Trials, base: Trial, choices: Choices, rescoring_s: float
) -> tuple[tuple[Proposal, ...], dict[str, float]]:
    """The frontier of plans, and what each block takes as it is, in the base's runtime."""
    graphs = {c.graph.path: c.graph for menu in choices.menus for c in menu}
    costs = costs_of(
        setup, trials, base, tuple(graphs.values()), "block", "timing each block of the network"
    )
    whole_ms = query_ms(base.latency)
    if costs is None or whole_ms is None:
        return (), {}
    ms, scored = dict(zip(graphs, costs.ms, strict=True)), None
    if not add_up(choices.combined):
        scored = rescored_within(setup, trials, base, choices, ms, rescoring_s)
    kept = {c.block: ms[c.graph.path] for menu in choices.menus for c in menu if c.kept}
    return proposals(choices, ms, whole_ms, scored), kept

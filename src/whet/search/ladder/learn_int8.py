"""Rung 4, last: candidates whose int8 loses too much, with int8 that is learnt in its place.

A quantiser takes the weights as they are. Where that costs more than the floor allows, of the network
as it came or of a changed one, the same network learns in int8 for as long as the time allows, by
the original and by labels where there are some.
"""

from __future__ import annotations

import time

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe, Step
from whet.optimize.graph.quantize.space import learnt, ranked_by
from whet.search.decisions.figures import speed
from whet.search.ladder.labels import labels_option
from whet.search.ladder.learning import affordable_steps, batch_for, learning_pace_s
from whet.search.ladder.rungs import GRAPHS
from whet.search.ladder.surgery import start_of
from whet.search.ladder.trials import Trials
from whet.search.ladder.variations import TO_GRAPH
from whet.search.ladder.waves import enough, good
from whet.search.setup import Setup

__all__ = ["learn_int8"]

_RUNG = 4
_WHERE = "learning in int8"
_TRIES = 2
_SPENT = 0.8  # of a try's share on learning; the rest is building, timing and judging
_LEAST_STEPS = 48  # it begins with what a quantiser ends with
_LEAST_ROWS = 64
_LONG = frozenset({"repair", "distill"})  # how fast a network learns doesn't hang on its weights


def learn_int8(setup: Setup, trials: Trials, *, share: float = 1.0) -> None:
    """Try the fastest whose int8 loses too much again, with steps and weights learnt.

    Args:
        setup: of the search.
        trials: so far.
        share: of the time left that all tries may take.
    """
    base = start_of(setup, trials)
    if base is None or setup.program is None or len(setup.learnt_from) < _LEAST_ROWS:
        return
    lossy = _lossy(setup, trials, base)[:_TRIES]
    if not lossy or enough(setup, trials):
        return
    labelled, end_s = labels_option(setup, trials), trials.time_share_s(share)
    for left, trial in zip(range(len(lossy), 0, -1), lossy, strict=True):
        seconds = (end_s - time.monotonic()) / left
        found = _taught(setup, trials, trial, seconds, labelled)
        if found is None or good(setup, trials.judge(found)) or enough(setup, trials):
            return


def _lossy(setup: Setup, trials: Trials, base: Trial) -> list[Trial]:
    """Candidates in int8 that lose too much and are faster than what is good, the fastest first.

    One of each network.
    """
    found: dict[tuple[str, ...], Trial] = {}
    for trial in sorted(trials.all.values(), key=speed, reverse=True):
        if (
            trial.status is Status.OK
            and trial.select is not None
            and trial.recipe.runtime in GRAPHS
            and any(ranked_by(step) is not None for step in trial.recipe.steps)
            and speed(trial) > speed(base)
            and not good(setup, trial)
        ):
            found.setdefault(tuple(map(repr, _network(trial.recipe))), trial)
    return list(found.values())


def _taught(
    setup: Setup, trials: Trials, lossy: Trial, seconds: float, labelled: dict[str, str]
) -> Trial | None:
    """A candidate's network with learnt int8; ``None`` where there is no time for it."""
    network, batch = _network(lossy.recipe), batch_for(setup.macs)
    changed = [step for step in network if step.name not in _LONG]
    step_s = learning_pace_s(setup, trials, changed, batch, where=_WHERE, rounded=True)
    if step_s is None:
        return None
    before_s = lossy.seconds if network else 0.0  # what comes before is made again
    steps = affordable_steps(_SPENT * seconds - before_s, step_s, least=_LEAST_STEPS)
    if not steps:
        trials.tell.remark(_WHERE, "The time left didn't allow it to learn anything.")
        return None
    options = {"steps": steps, "batch": batch, **labelled}
    flags = frozenset(setup.machine.flags)
    passes = (*network, learnt(flags, options), TO_GRAPH)
    return trials.attempt(Recipe(passes, lossy.recipe.runtime, lossy.recipe.settings), _RUNG)


def _network(recipe: Recipe) -> tuple[Step, ...]:
    """Its passes over the network, without the export."""
    steps = recipe.steps
    return steps[: steps.index(TO_GRAPH)] if TO_GRAPH in steps else ()

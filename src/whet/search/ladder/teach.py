"""Rung 4: plans of rung 3 that lose too much as repaired, taught as a whole by the original.

What learning regains can't be told in advance, so the frontier is halved once more, now with an equal
share of the time left to learn in for each try.
"""

from __future__ import annotations

import time

from whet.core.evidence import Trial
from whet.core.recipe import Step
from whet.search.decisions.figures import query_ms
from whet.search.ladder.labels import labels_option
from whet.search.ladder.learning import affordable_steps, batch_for, learning_pace_s
from whet.search.ladder.surgery import Operated, recipe_of, start_of, told
from whet.search.ladder.trials import Trials
from whet.search.ladder.waves import enough
from whet.search.setup import Setup
from whet.search.solver.proposals import FrontierSearch, Proposal

__all__ = ["teach"]

_RUNG = 4
_WHERE = "distillation"
_TRIES = 3
_SPENT = 0.8  # of a try's share on learning; the rest is building, timing and judging
_LEAST_STEPS = 96
_LEAST_ROWS = 64


def teach(setup: Setup, trials: Trials, operated: Operated, *, share: float = 1.0) -> None:
    """Try plans that are faster than all that is good, taught as long as the time allows.

    Args:
        setup: of the search.
        trials: so far.
        operated: what rung 3 left.
        share: of the time left that all tries may take.
    """
    base = start_of(setup, trials)
    if base is None or len(setup.learnt_from) < _LEAST_ROWS:
        return
    points = _faster(operated, base)
    if not points or enough(setup, trials):
        return
    batch, asked = batch_for(setup.macs), points[len(points) // 2].steps
    step_s = learning_pace_s(setup, trials, asked, batch, where=_WHERE)
    if step_s is None:
        return
    labelled = labels_option(setup, trials)
    search, end_s = FrontierSearch(points), trials.time_share_s(share)
    for left in range(_TRIES, 0, -1):
        point = search.ask()
        seconds = _SPENT * (end_s - time.monotonic()) / left
        steps = affordable_steps(seconds, step_s, least=_LEAST_STEPS)
        if point is None or enough(setup, trials):
            return
        if not steps:
            trials.tell.remark(_WHERE, "The time left didn't allow it to learn anything.")
            return
        learning = Step("distill", {"steps": steps, "batch": batch} | labelled)
        trial = trials.attempt(recipe_of(point, base, learning), _RUNG)
        if trial is None:
            return
        told(search, setup, operated.predictions.told(point, trials.judge(trial)))


def _faster(operated: Operated, base: Trial) -> tuple[Proposal, ...]:
    """Plans that promise more than the fastest that is good, the gentlest first."""
    best_ms = query_ms(base.latency)
    if best_ms is None:
        return ()
    return tuple(point for point in operated.points if point.ms < best_ms)

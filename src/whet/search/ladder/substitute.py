"""Rung 5: another network in the original's place, sized by the clock and taught by the original.

This is the search over architectures, and latency comes first in it: students of a small zoo are
timed with random weights, in turn with the fastest candidate that is good so far, in the runtime and
with the passes that they would have (`whet.search.ladder.sizing`). Of each family the largest size
that is clearly faster is left. Only then is anything learnt, by those that can hold most, for as long
as the time allows.

It is the last rung to change the network, and only climbed with training samples: what begins with
random weights has more to learn than the repair part holds.
"""

from __future__ import annotations

import time

from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.optimize.network.students.zoo import Sized
from whet.search.ladder.labels import labels_option
from whet.search.ladder.learning import affordable_steps, batch_for, learning_pace_s
from whet.search.ladder.menus import tail_of
from whet.search.ladder.sizing import ROUND_S, fast_enough
from whet.search.ladder.surgery import start_of
from whet.search.ladder.trials import Trials
from whet.search.ladder.variations import TO_GRAPH
from whet.search.ladder.waves import enough, good
from whet.search.setup import Setup

__all__ = ["substitute"]

_RUNG = 5
_WHERE = "substitution"
_LEAST_ROWS = 256
_TRIES = 2
_SIZING = 0.3  # of the time, that finding sizes may take
_SPENT = 0.8  # of a try's share on learning; the rest is building, timing and judging
_LEAST_STEPS = 384  # below them random weights have hardly begun to learn
_RATE = 0.03  # ten times what changed networks learn with: random weights have nothing to lose
_NO_TIME = "The time left didn't allow another network to learn anything."


def substitute(setup: Setup, trials: Trials, *, share: float = 1.0) -> None:
    """Try students that are clearly faster than all that is good.

    Args:
        setup: of the search.
        trials: so far.
        share: of the time left that finding and teaching them may take.
    """
    base = start_of(setup, trials)
    if base is None or setup.program is None or enough(setup, trials):
        return
    if setup.train is None or len(setup.train) < _LEAST_ROWS:
        return
    began, end_s = time.monotonic(), trials.time_share_s(share)
    sized_by_s = began + _SIZING * (end_s - began)
    if began + ROUND_S > sized_by_s:
        trials.tell.remark(_WHERE, _NO_TIME)
        return
    trials.tell.rung(_RUNG)
    students = fast_enough(setup, trials, base, end_s=sized_by_s)[:_TRIES]
    labelled = labels_option(setup, trials) if students else {}
    for left, student in zip(range(len(students), 0, -1), students, strict=True):
        seconds = (end_s - time.monotonic()) / left
        trial = _taught(setup, trials, base, student, seconds, labelled)
        if trial is None or good(setup, trials.judge(trial)):
            return


def _taught(
    setup: Setup,
    trials: Trials,
    base: Trial,
    sized: Sized,
    seconds: float,
    labelled: dict[str, str],
) -> Trial | None:
    """A student as a candidate; ``None`` where there is no time for it."""
    step, batch = sized.student.step(), batch_for(max(setup.macs, sized.macs))
    step_s = learning_pace_s(setup, trials, (step,), batch, where=_WHERE)
    if step_s is None:
        return None
    steps = affordable_steps(_SPENT * seconds, step_s, least=_LEAST_STEPS)
    if not steps:
        trials.tell.remark(_WHERE, _NO_TIME)
        return None
    options = {"steps": steps, "batch": batch, "rate": _RATE, "norms": True, **labelled}
    passes = (step, Step("distill", options), TO_GRAPH, *tail_of(base.recipe))
    return trials.attempt(Recipe(passes, base.recipe.runtime, base.recipe.settings), _RUNG)

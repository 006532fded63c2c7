"""Rung 4: plans of rung 3 that lose too much as repaired, taught as a whole by the original.

What learning regains can't be told in advance, so the frontier is halved once more, now with an equal
share of the time left to learn in for each try.
"""

from __future__ import annotations

import time

from whet.core.evidence import Trial
from whet.core.recipe import Step
from whet.search.decisions.figures import query_ms
from whet.search.ladder.labels import output_labelled
from whet.search.ladder.side_jobs import side_job
from whet.search.ladder.surgery import Operated, recipe_of, start_of, told
from whet.search.ladder.trials import Trials
from whet.search.ladder.waves import enough
from whet.search.setup import Setup
from whet.search.solver.proposals import FrontierSearch, Proposal
from whet.search.workers.surgery_jobs import Pace, PaceJob

__all__ = ["affordable_steps", "teach"]

_RUNG = 4
_TRIES = 3
_SPENT = 0.8  # of a try's share on learning; the rest is building, timing and judging
_LEAST_STEPS, _MOST_STEPS = 96, 1 << 16
_LEAST_ROWS = 64
_BATCHES, _STEP_MACS = (8, 64), 6.5e10  # rows of a step at least and at most, and its arithmetic
_PACE_S = 45.0  # that it takes to ask for the pace


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
    batch = _batch(setup)
    step_s = _step_s(setup, trials, points[len(points) // 2], batch)
    if step_s is None:
        return
    output = output_labelled(setup, trials)
    labelled = {"labels": output} if output else {}
    search, end_s = FrontierSearch(points), trials.time_share_s(share)
    for left in range(_TRIES, 0, -1):
        point = search.ask()
        steps = affordable_steps(_SPENT * (end_s - time.monotonic()) / left, step_s)
        if point is None or enough(setup, trials):
            return
        if not steps:
            trials.tell.remark("distillation", "The time left didn't allow it to learn anything.")
            return
        learning = Step("distill", {"steps": steps, "batch": batch} | labelled)
        trial = trials.attempt(recipe_of(point, base, learning), _RUNG)
        if trial is None:
            return
        told(search, setup, operated.predictions.told(point, trials.judge(trial)))


def affordable_steps(seconds: float, step_s: float) -> int:
    """Steps that fit, 0 where they are too few: 1 or 1.5 times a power of two.

    A search that goes on from where another stopped finds the same number, if it has about as long.
    """
    fit = min(_MOST_STEPS, int(seconds / step_s))
    if fit < _LEAST_STEPS:
        return 0
    power = 1 << (fit.bit_length() - 1)
    return power + power // 2 if fit >= power + power // 2 else power


def _faster(operated: Operated, base: Trial) -> tuple[Proposal, ...]:
    """Plans that promise more than the fastest that is good, the gentlest first."""
    best_ms = query_ms(base.latency)
    if best_ms is None:
        return ()
    return tuple(point for point in operated.points if point.ms < best_ms)


def _batch(setup: Setup) -> int:
    least, most = _BATCHES
    fit = int(min(most, max(least, _STEP_MACS / max(setup.macs, 1))))
    return 1 << (fit.bit_length() - 1)


def _step_s(setup: Setup, trials: Trials, point: Proposal, batch: int) -> float | None:
    """Seconds that a step takes, remembered by the ledger; ``None`` where there is no time for it."""
    if not trials.budget.affords(time.monotonic(), _PACE_S):
        return None
    key = f"learning-pace-{setup.graph.digest()}-{batch}"
    kept = trials.ledger.get_as(key, Pace)
    if kept is not None:
        return kept.step_s
    trials.tell.phase("timing how fast the network learns")
    job = PaceJob(
        ground=setup.ground,
        steps=point.steps,
        batch=batch,
        workdir=str(setup.workdir / "surgery"),
        shelf=str(setup.workdir / "built"),
    )
    found = side_job(
        setup,
        trials,
        "whet.search.workers.surgery_jobs:learning_pace",
        job,
        Pace,
        where="distillation",
        failing="The network can't be taught",
    )
    if found is not None:
        trials.ledger.put(key, found)
    return found.step_s if found is not None else None

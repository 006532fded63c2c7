"""How long networks may learn: the pace of one step, and the steps that the time left holds."""

from __future__ import annotations

import time
from collections.abc import Sequence

from whet.core.recipe import Step, digest_of
from whet.search.ladder.side_jobs import side_job
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.workers.surgery_jobs import Pace, PaceJob

__all__ = ["affordable_steps", "batch_for", "learning_pace_s"]

_MOST_STEPS = 1 << 16
_BATCHES, _STEP_MACS = (8, 64), 6.5e10  # rows of a step at least and at most, and its arithmetic
_UNHURRIED_S = 1200.0  # that a network learns where nobody said how long
_PACE_S = 45.0  # that it takes to ask for the pace


def affordable_steps(seconds: float, step_s: float, *, least: int) -> int:
    """Steps that fit, 0 where they are fewer than the least: 1 or 1.5 times a power of two.

    A search that goes on from where another stopped finds the same number, if it has about as long.
    """
    fit = int(min(_MOST_STEPS, min(seconds, _UNHURRIED_S) / step_s))
    if fit < least:
        return 0
    power = 1 << (fit.bit_length() - 1)
    return power + power // 2 if fit >= power + power // 2 else power


def batch_for(macs: int) -> int:
    """Rows of a step.

    Args:
        macs: of one row, of the larger of what learns and what teaches.
    """
    least, most = _BATCHES
    fit = int(min(most, max(least, _STEP_MACS / max(macs, 1))))
    return 1 << (fit.bit_length() - 1)


def learning_pace_s(
    setup: Setup,
    trials: Trials,
    steps: Sequence[Step],
    batch: int,
    *,
    where: str,
    rounded: bool = False,
) -> float | None:
    """Seconds that a step takes, remembered by the ledger; ``None`` where there is no time for it.

    Args:
        setup: of the search.
        trials: so far.
        steps: that make the network which learns.
        batch: rows of a step.
        where: remarks belong to.
        rounded: whether it rounds to 8 bits while it learns.
    """
    if not trials.budget.affords(time.monotonic(), _PACE_S):
        return None
    key = f"learning-pace-{setup.graph.digest()}-{digest_of(tuple(steps))}-{batch}"
    key += "-int8" if rounded else ""
    kept = trials.ledger.get_as(key, Pace)
    if kept is not None:
        return kept.step_s
    trials.tell.phase("timing how fast the network learns")
    job = PaceJob(
        ground=setup.ground,
        steps=tuple(steps),
        batch=batch,
        workdir=str(setup.workdir / "surgery"),
        shelf=str(setup.workdir / "built"),
        rounded=rounded,
    )
    found = side_job(
        setup,
        trials,
        "whet.search.workers.surgery_jobs:learning_pace",
        job,
        Pace,
        where=where,
        failing="The network can't be taught",
    )
    if found is not None:
        trials.ledger.put(key, found)
    return found.step_s if found is not None else None

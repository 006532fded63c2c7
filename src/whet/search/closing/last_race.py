"""The last race: everything that may be chosen, timed afresh and interleaved.

The best untouched engine was picked from quick timings, which a restless
machine turns round. So untouched engines that may be as fast run here too, and
the fastest of them in this race is the baseline that "never slower" is about.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import msgspec

from whet.core.evidence import Trial
from whet.measure.clock import ClockPlan, Race
from whet.search.budget.budget import race_s
from whet.search.budget.extras import affords_torch, cut_short_notes, left_out
from whet.search.budget.pace import start_s
from whet.search.budget.patience import step_limit_s
from whet.search.budget.tail_proof import proof_s
from whet.search.decisions.figures import ALIKE, plainest, query_ms, speed
from whet.search.ladder.assay import contender_of, time_all
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup

__all__ = ["fastest_of", "race_in_full", "rivals_of"]

_RIVALS = 2


def rivals_of(baseline: Trial, untouched: Iterable[Trial]) -> list[Trial]:
    """Untouched trials whose quick timing doesn't rule out that they are as fast.

    Other runtimes come first: settings of one runtime that are this near to each
    other rarely differ, runtimes may.
    """
    if baseline.speedup is None:
        return []
    least = baseline.speedup.low
    near = [
        t
        for t in untouched
        if t.id != baseline.id and t.speedup is not None and t.speedup.high >= least
    ]
    own = baseline.recipe.runtime
    near.sort(key=lambda t: (t.recipe.runtime == own, -speed(t)))
    return near[:_RIVALS]


def race_in_full(setup: Setup, trials: Trials, finalists: Sequence[Trial]) -> Race:
    """Time the finalists, and the original in torch where there is one, in fresh processes.

    Args:
        setup: of the search.
        trials: to make their engines, and to know the time left.
        finalists: at least one.
    """
    original = setup.references.original
    contenders = [contender_of(t, trials.made_for(t)) for t in finalists]
    left_s, total_s = trials.budget.left_s(time.monotonic()), trials.budget.total_s
    start = start_s(trials.all.values())
    if original.runtime == "torch":
        if affords_torch(left_s, len(contenders), total_s, start_s=start):
            contenders.append(original)
        else:
            note = left_out("eager PyTorch")
            trials.tell.remark(note.where, note.reason)
    for note in cut_short_notes(left_s, len(contenders), total_s, start_s=start):
        trials.tell.remark(note.where, note.reason)
    medians_ms = [ms for t in finalists if (ms := query_ms(t.latency)) is not None]
    proof = proof_s(setup.contract, medians_ms, len(contenders))
    plan = ClockPlan.full(
        batch=setup.contract.batch,
        concurrency=setup.contract.concurrency,
        percentile=setup.contract.percentile,
        seed=setup.seed + 1,
        seconds=race_s(left_s, len(contenders), proof, total_s=total_s, start_s=start),
    )
    usual_s = race_s(left_s, len(contenders), total_s=total_s, start_s=start)
    filled = _filled(plan, usual_s, len(contenders), min(medians_ms, default=1.0))
    rows = setup.contract.batch * setup.contract.concurrency
    limit_s = step_limit_s(rows, original_ms=setup.original_ms, left_s=left_s)
    return time_all(setup, contenders, msgspec.structs.replace(filled, timeout_s=limit_s))


def fastest_of(race: Race, rivals: Sequence[Trial]) -> Trial:
    """The fastest of some trials in a race, the plainest of those alike; the first where none ran.

    Two engines that differ by less than noise makes would win in turn, and the baseline would
    have another name in the next search.
    """
    ran = [t for t in rivals if t.name in race.latency]
    if not ran:
        return rivals[0]
    first = ran[0]
    return plainest(ran, within=ALIKE, value=lambda t: race.ratio(first.name, t.name).value)


def _filled(plan: ClockPlan, usual_s: float, contenders: int, fastest_ms: float) -> ClockPlan:
    """The plan with as many queries a turn as half of the usual time holds, at most 500.

    A fast network answers the fewest queries that prove a percentile in an
    instant; more of them make the interval narrow enough to decide.
    """
    turn_ms = usual_s * 1e3 / 2 / (plan.restarts * plan.rounds * contenders)
    queries = min(500, int(turn_ms / max(fastest_ms, 1e-6)))
    return msgspec.structs.replace(plan, queries_per_round=max(plan.queries_per_round, queries))

"""What the measurements mean for the contract; pure.

A contract has up to four clauses (latency, quality, size, memory). Each is
passed, failed or undecided; the contract is kept when all are passed.
The untouched original is held to the quality clause like all others: its
executed answers are compared (`whet.search.decisions.untouched`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import Status, Trial, Verdict
from whet.core.points import shared_percentile
from whet.measure.footprint_clauses import (
    Clause,
    footprint_clauses,
)
from whet.measure.latency_clause import kept_latency
from whet.measure.latency_words import latency_words
from whet.search.decisions.figures import ALIKE, answers_right, damage, speed
from whet.search.decisions.judged import quality_clause
from whet.search.decisions.limits import nearest, roomier
from whet.search.decisions.outlook import LIKELY, outlook

__all__ = [
    "NOISE",
    "chance",
    "choose",
    "clauses",
    "clearly_faster",
    "expected_bound",
    "keeps",
    "promising",
    "slower_at",
]

NOISE = 1.1  # a speed-up above this isn't made by a restless machine


def clauses(trial: Trial, contract: Contract) -> tuple[Clause, ...]:
    """Each clause with its verdict and the figures, in words."""
    latency = kept_latency(trial.latency, contract), latency_words(trial.latency, contract)
    return (
        ("latency", *latency),
        quality_clause(trial),
        *footprint_clauses(trial.footprint, contract),
    )


def keeps(trial: Trial, contract: Contract) -> Verdict:
    """The contract as a whole: failed if a clause failed, else undecided if one is."""
    if trial.status is not Status.OK:
        return Verdict.FAILED
    verdicts = {verdict for _, verdict, _ in clauses(trial, contract)}
    for worst in (Verdict.FAILED, Verdict.UNDECIDED):
        if worst in verdicts:
            return worst
    return Verdict.PASSED


def expected_bound(trial: Trial, certify_n: int) -> float:
    """The bound to expect of the judged output on the certify split; infinite where unknown."""
    if answers_right(trial):
        return 0.0
    return math.inf if trial.select is None else outlook(trial.select, certify_n).bound


def chance(trial: Trial, certify_n: int) -> float:
    """How likely its quality will be certified (0-1), as the select split has it."""
    if trial.status is not Status.OK:
        return 0.0
    if answers_right(trial):
        return 1.0
    return 0.0 if trial.select is None else outlook(trial.select, certify_n).chance


def promising(trial: Trial, contract: Contract, certify_n: int, *, least: float = LIKELY) -> bool:
    """Whether certification would pass with a chance of ``least`` or more, and no limit is broken.

    The untouched original may break a limit on size or memory: it is promising for its quality.
    """
    if chance(trial, certify_n) < least:
        return False
    limits = footprint_clauses(trial.footprint, contract)
    return answers_right(trial) or all(v is not Verdict.FAILED for _, v, _ in limits)


def choose(trials: Iterable[Trial], contract: Contract, baseline: Trial) -> tuple[Trial, Verdict]:
    """The fastest trial that keeps the contract, else the best of what is proven.

    "Never slower": a trial whose speed-up against the baseline isn't clearly
    above one loses to the baseline, unless only it keeps a size or memory limit.
    Where none keeps the limits, the one that is nearest to them is the nearest miss, and
    a slower one is taken too where it misses a size or memory limit by less than the baseline;
    there, one that the last race shows faster at the contract's percentile is no slower.
    "Never wrong": a trial that isn't certified is never chosen, the baseline only
    where nothing is.
    """
    proven = [
        t
        for t in trials
        if t.status is Status.OK and t.certify is not None and t.certify.verdict is Verdict.PASSED
    ]
    rows = [(t, keeps(t, contract)) for t in proven]
    for level in (Verdict.PASSED, Verdict.UNDECIDED, Verdict.FAILED):
        group = [t for t, verdict in rows if verdict is level]
        if not group:
            continue
        fast = [
            t
            for t in group
            if t.id == baseline.id
            or (clearly_faster(t) and slower_at(contract.percentile, t, baseline) is None)
        ]
        if level is Verdict.FAILED:
            fast += [
                t
                for t in group
                if t not in fast
                and (_faster_tail(t, contract, baseline) or roomier(t, baseline, contract))
            ]
        left = fast or group
        near = nearest(left, contract) if level is Verdict.FAILED else left
        return _simplest(near, baseline), level
    return baseline, keeps(baseline, contract)


def clearly_faster(trial: Trial) -> bool:
    """Whether the interval lies above one; on a noisy machine by a margin that noise doesn't make."""
    if trial.speedup is None:
        return False
    return trial.speedup.low > (NOISE if trial.speedup.noisy else 1.0)


def slower_at(percentile: float, trial: Trial, baseline: Trial) -> float | None:
    """The percentile at which it is slower than the baseline: the contract's own, or ``None``.

    Speed-ups are ratios of medians, which settle soonest; an engine that is
    recompiled now and then wins by its median and loses by its tail. A tail rests on
    few queries: of two equal engines one often looks a tenth slower. So it is slower
    where the interval over turns of the last race excludes that it isn't, and by more than
    noise makes it or than its median gains. Where there were too few queries for the
    contract's percentile, the highest below it decides; where the two never ran in one
    race, intervals that lie apart.
    """
    tail = trial.tail
    if tail is not None and tail.against == baseline.name:
        made_up = max(1 / NOISE, 1 / max(speed(trial), 1.0))
        return tail.q if tail.high < 1 and tail.value < made_up else None
    if trial.latency is None or baseline.latency is None:
        return None
    q = shared_percentile((trial.latency.percentiles, baseline.latency.percentiles), percentile)
    own, its = trial.latency.at(q), baseline.latency.at(q)
    if own is None or its is None or own.low_ms is None or its.high_ms is None:
        return None
    return q if own.low_ms > its.high_ms and own.value_ms > NOISE * its.value_ms else None


def _faster_tail(trial: Trial, contract: Contract, baseline: Trial) -> bool:
    """Whether the last race shows it faster at the contract's percentile, and as fast else."""
    tail = trial.tail
    return (
        tail is not None
        and (tail.against, tail.q) == (baseline.name, contract.percentile)
        and tail.low > 1
        and tail.value > NOISE
        and speed(trial) >= 1
    )


def _simplest(level: list[Trial], baseline: Trial) -> Trial:
    """Of trials that are as fast as the fastest, the one with the fewest passes and settings.

    Where those are equal, the one that loses less; then a fixed order.

    Differences below two per cent don't survive a restart: preferring the
    simpler keeps the choice the same from one search to the next. Settings of one engine rarely
    differ by more than a restless machine makes of them, so there the interval decides too.
    """

    def value(t: Trial) -> float:
        return 1.0 if t.id == baseline.id else speed(t)

    first = max(level, key=value)
    best = value(first)
    near = [t for t in level if value(t) >= (1 - ALIKE) * best or _no_slower_twin(t, first, best)]
    return min(near, key=_complexity)


def _no_slower_twin(trial: Trial, first: Trial, best: float) -> bool:
    """Whether it is the fastest's engine with other settings, and the race can't tell them apart."""
    own, other = trial.recipe, first.recipe
    if (own.runtime, own.steps) != (other.runtime, other.steps) or trial.speedup is None:
        return False
    return NOISE * speed(trial) >= best and trial.speedup.high >= best


def _complexity(trial: Trial) -> tuple[int, int, float, str]:
    """What decides between equally fast trials: nothing that differs from run to run."""
    recipe = trial.recipe
    return len(recipe.steps), len(recipe.settings.changed()), damage(trial), trial.id

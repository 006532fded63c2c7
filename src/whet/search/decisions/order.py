"""Which finalists are certified, and in which order; pure.

They are certified in a fixed order and the sequence stops at the first that fails, so
that the confidence holds for all of them together without a correction (fixed-sequence
testing; Maurer, Hothorn and Lehmacher 1995). So each finalist is a gate to those behind it:
a safe one secures something before a fast one is risked, an unsafe one in front may cost
all. Of the sequences that can be made of the candidates, the one with the
best expectation is taken: the logarithm of the speed that will be proven, each passing by
the chance that `whet.search.decisions.outlook` gives it.

Those chances hang together. Candidates stumble over the same samples, those on the edge: where a
careful one fails, a bolder one hardly passes, and where it passes the bolder one has better
prospects than by itself. So a gate in between costs the ones behind it less than its own chance
of failing. How much less isn't known; half-way between chances that have nothing to do with each
other and one draw that decides for all is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from whet.core.contract import Contract
from whet.core.evidence import Status, Trial, Verdict
from whet.measure.footprint_clauses import footprint_clauses
from whet.measure.latency_clause import kept_latency
from whet.search.decisions.decide import chance, expected_bound
from whet.search.decisions.figures import ALIKE, answers_right, speed
from whet.search.decisions.kinds import answer_kind, one_of_each_answer, safest_of_each_kind
from whet.search.decisions.limits import overrun

__all__ = ["FINALISTS", "certify_order"]

FINALISTS = 4  # certified at most
_CONSIDERED = 12  # candidates that sequences are made of
_HOPELESS = 0.01  # a smaller chance to pass is none
_BROKEN = math.log(100)  # what a broken limit costs beside speed: always more than speed gains
# What each proven finalist is worth by itself: the bundle keeps it as a variant.
_VARIANT = 0.005


def certify_order(
    trials: Iterable[Trial], contract: Contract, certify_n: int, most: int
) -> tuple[Trial, ...]:
    """The finalists in the order in which they are certified, the likeliest to pass first.

    Of candidates that only calibration tells apart (`whet.search.decisions.kinds`), the safest
    stands for all; the same graph with other settings comes only where places are
    left, behind its like, with which it passes or fails. Where no candidate could
    gain anything, the one nearest to the floor stands in, so that the miss is certified too.

    Args:
        trials: all of the search.
        contract: with its limits.
        certify_n: samples of the certify part.
        most: finalists.
    """
    ran = [t for t in trials if t.status is Status.OK]
    known = [t for t in ran if not answers_right(t) and t.select is not None]

    def risk(trial: Trial) -> float:
        return expected_bound(trial, certify_n)

    ranked = one_of_each_answer(safest_of_each_kind(known, risk), within=ALIKE)
    alike: dict[str, list[Trial]] = {}
    for trial in ranked:
        alike.setdefault(answer_kind(trial.recipe), []).append(trial)
    base = max((_worth(t, contract) for t in ran if answers_right(t)), default=-_BROKEN)
    gates = [
        _Gate(first, passes, _worth(first, contract) - base)
        for first, *_ in alike.values()
        if (passes := chance(first, certify_n)) > _HOPELESS
    ]
    best = max(_sequences(gates, most), key=_expectation, default=())
    if _expectation(best) <= 0:
        return tuple(sorted(known, key=lambda t: (risk(t), -speed(t)))[:1])
    places = most - len(best)
    order: list[Trial] = []
    for gate in best:
        twins = alike[answer_kind(gate.trial.recipe)][1 : 1 + places]
        order += [gate.trial, *twins]
        places -= len(twins)
    return tuple(order)


@dataclass(frozen=True)
class _Gate:
    """A finalist: its chance to pass, and what it gains over what is proven anyway."""

    trial: Trial
    chance: float
    gain: float


def _worth(trial: Trial, contract: Contract) -> float:
    """The logarithm of its speed, less what broken limits cost: each, and by how much.

    By how much a latency is missed is in the speed.
    """
    verdicts = [verdict for _, verdict, _ in footprint_clauses(trial.footprint, contract)]
    verdicts.append(kept_latency(trial.latency, contract))
    broken = verdicts.count(Verdict.FAILED) + math.log1p(overrun(trial, contract))
    return math.log(max(speed(trial), 1e-6)) - _BROKEN * broken


def _sequences(gates: Iterable[_Gate], most: int) -> Iterator[tuple[_Gate, ...]]:
    """Every set of the best gates, each in the order in which it fares best: the likeliest first."""
    best = sorted(gates, key=lambda g: -g.chance * g.gain)[:_CONSIDERED]
    ordered = sorted(best, key=lambda g: (-g.chance, -g.gain))
    for size in range(1, most + 1):
        yield from combinations(ordered, size)


def _expectation(sequence: Sequence[_Gate]) -> float:
    """The gain to expect of certifying in this order until the first that fails."""
    expected, reached, proven = 0.0, 1.0, 0.0
    for gate in sequence:
        passed = (reached * gate.chance + min(reached, gate.chance)) / 2
        expected += (reached - passed) * proven
        reached = passed
        proven = max(proven, gate.gain)
        expected += reached * _VARIANT * gate.gain
    return expected + reached * proven

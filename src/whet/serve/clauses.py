"""What the clauses of a bundle's contract come to on this machine; pure.

Latency, size and memory are measured here. Quality can't be: the samples are not in the
bundle. Its verdict is the one from where the bundle was made, and it carries over as far as
the recorded answers come out here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from whet.bundle.manifest import LatencySummary, QualitySummary
from whet.core.contract import Contract
from whet.core.evidence import Footprint, Latency, Verdict
from whet.core.points import shared_percentile
from whet.core.units import drop_words
from whet.measure.footprint_clauses import footprint_clauses, footprint_limits
from whet.measure.latency_clause import kept_latency
from whet.measure.latency_words import latency_words
from whet.measure.noise import uneven
from whet.measure.verdicts import worst

__all__ = ["ClauseHere", "Timing", "clauses_here", "far_off", "whole"]

_FAR = 1.5


@dataclass(frozen=True)
class Timing:
    """The default variant, timed here.

    Attributes:
        unrest: why the machine was not quiet meanwhile; empty where it was.
    """

    latency: Latency
    footprint: Footprint
    unrest: str = ""

    @property
    def noise(self) -> str:
        """Why its figures are worth little; empty where they aren't."""
        return self.unrest or uneven(self.latency.restart_spread)


@dataclass(frozen=True)
class ClauseHere:
    """One clause of the contract.

    Attributes:
        name: ``latency``, ``quality``, ``size`` or ``memory``.
        verdict: ``None`` where nobody looked.
        words: the figures.
    """

    name: str
    verdict: Verdict | None
    words: str


def clauses_here(
    contract: Contract,
    quality: QualitySummary | None,
    timing: Timing | None,
    *,
    quick: bool = False,
) -> tuple[ClauseHere, ...]:
    """Every clause that the contract has; a latency limit only where it has one.

    Args:
        contract: of the bundle.
        quality: of its default variant, from where it was made.
        timing: ``None`` where nothing was timed.
        quick: because nobody asked for it, which is no verdict.
    """
    found = [_quality(quality)]
    if timing is None:
        names = ["latency"] if contract.limit_ms is not None else []
        names += [name for name, _, _ in footprint_limits(None, contract)]
        verdict = None if quick else Verdict.UNDECIDED
        return (*(ClauseHere(name, verdict, "not measured here") for name in names), *found)
    if contract.limit_ms is not None:
        found.insert(0, _latency(contract, timing))
    limits = footprint_clauses(timing.footprint, contract)
    return (*found, *(ClauseHere(name, verdict, words) for name, verdict, words in limits))


def whole(clauses: Iterable[ClauseHere]) -> Verdict | None:
    """The contract as a whole; ``None`` where no clause is broken and one wasn't looked at."""
    found = [clause.verdict for clause in clauses]
    verdicts = [verdict for verdict in found if verdict is not None]
    verdict = worst(verdicts) if verdicts else None
    return None if verdict is Verdict.PASSED and None in found else verdict


def far_off(
    asked: float, expected: LatencySummary | None, timing: Timing | None, *, machine_same: bool
) -> str:
    """What to say where the latency here is 1.5 times what the bundle states, or more; else empty.

    Args:
        asked: the contract's percentile; the highest below it that both have stands in.
        expected: what the bundle states.
        timing: measured here.
        machine_same: whether this machine is like the one it was tuned for.
    """
    if expected is None or timing is None:
        return ""
    q = shared_percentile((expected.percentiles, timing.latency.percentiles), asked)
    here, there = timing.latency.at(q), _at(expected, q)
    if here is None or there is None or there <= 0 or here.value_ms < _FAR * there:
        return ""
    said = f"p{q:g} is {here.value_ms / there:.2g} times what is stated"
    if timing.noise:
        return f"{said}, and {timing.noise}: measure again when nothing else runs."
    if not machine_same:
        return f"{said}, on another machine: 'whet optimize' here tunes anew."
    middle, usual = timing.latency.at(50.0), _at(expected, 50.0)
    if middle is not None and usual is not None and middle.value_ms < _FAR * usual:
        return f"{said}, the median is not: something else took the cores now and then."
    return (
        f"{said}, on a machine like the one it was tuned for: something else may be using its"
        " cores, or they run slower now."
    )


def _at(stated: LatencySummary, q: float) -> float | None:
    return next((point.value_ms for point in stated.percentiles if point.q == q), None)


def _latency(contract: Contract, timing: Timing) -> ClauseHere:
    """On a restless machine a tail beyond the limit says nothing, if the median is within."""
    latency = timing.latency
    verdict, words = kept_latency(latency, contract), latency_words(latency, contract)
    limit_ms, middle = contract.limit_ms, latency.at(50.0)
    within = limit_ms is not None and middle is not None and middle.value_ms <= limit_ms
    if verdict is Verdict.FAILED and timing.noise and within:
        verdict = Verdict.UNDECIDED
    if verdict is Verdict.UNDECIDED and latency.at(contract.percentile) is not None:
        cause = timing.noise and f"too noisy to say: {timing.noise}"
        words += f"; {cause or 'too few queries for so small a difference'}"
    return ClauseHere("latency", verdict, words)


def _quality(quality: QualitySummary | None) -> ClauseHere:
    if quality is None or not quality.certified:
        return ClauseHere("quality", Verdict.UNDECIDED, "not certified where it was made")
    if quality.same:
        words = "its answers were the original's, but for rounding"
    else:
        words = (
            f"{quality.metric} at most {drop_words(quality.bound)} lost,"
            f" {drop_words(quality.allowed)} allowed, on {quality.n:,} samples"
        )
    return ClauseHere(
        "quality", quality.verdict, f"{words}, where it was made; the recorded answers hold here"
    )

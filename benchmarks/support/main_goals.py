"""The goals of the main benchmark, from one race and the judgement of its contenders.

A goal is met or missed by a number. Where there is nothing to compare with, it is not
decidable, never met.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from support.harness import Goal
from whet.core.evidence import Evidence, Latency, Quality, Ratio, TailRatio, Verdict
from whet.measure.clock import Race
from whet.search.decisions.figures import speed

__all__ = ["OWN", "UNPROVEN", "Judged", "fastest_unproven", "floor_ms", "goals_of"]

OWN, UNTOUCHED, EAGER = "whet", "best untouched", "eager"
UNPROVEN = "whet, unproven"


@dataclass(frozen=True)
class Judged:
    """A contender's size and its quality on the certify part, by the contract's metric and others."""

    size_bytes: int
    quality: Quality | None
    extra: Mapping[str, Quality]


def goals_of(
    network: str,
    evidence: Evidence,
    timed: Race,
    judged: Mapping[str, Judged],
    peers: tuple[str, ...],
    peak_bytes: int,
) -> list[Goal]:
    """What the issue asks of a network, what every network is held to, and the peers.

    Args:
        network: its name.
        evidence: of the search.
        timed: the race of all contenders.
        judged: what each is and loses.
        peers: names of the peers' contenders.
        peak_bytes: most memory that the search held.
    """
    own = judged[OWN]
    goals: list[Goal] = []
    if network == "ResNet-50":
        goals += _against(timed, evidence, EAGER, "p50 against eager", 12.0)
        goals += _against(timed, evidence, UNTOUCHED, "p50 against best untouched fp32", 5.0)
        goals += _against(timed, evidence, EAGER, "p50 against eager", 12.0, own=UNPROVEN)
        goals += _against(timed, evidence, UNTOUCHED, "p50 against fp32", 5.0, own=UNPROVEN)
        goals += [
            _at_most("top-1 lost", own.quality.drop if own.quality else None, 0.01, ""),
            _at_most("size on disk", own.size_bytes / 1e6, 27.0, "MB"),
            _at_most("time of the search", evidence.seconds / 60, 15.0, "min"),
            _at_most("peak memory of the search", peak_bytes / 1e9, 4.0, "GB"),
        ]
    if network == "MiniLM-L6":
        goals += _against(timed, evidence, EAGER, "p50 against eager", 5.0, amx=False)
        cosine = own.quality.candidate if own.quality else None
        met = None if cosine is None else cosine >= 0.99
        goals.append(Goal("mean cosine", ">= 0.99", cosine, "", met))
        spearman = own.extra.get("spearman")
        goals.append(_at_most("Spearman lost", spearman.drop if spearman else None, 0.005, ""))
    if network == "MobileNetV2":
        goals.append(_at_most("top-1 lost", own.quality.drop if own.quality else None, 0.01, ""))
    goals += _never_slower(timed)
    goals += _peers(timed, judged, peers)
    return [Goal(f"{network}: {g.name}", g.goal, g.reached, g.unit, g.met) for g in goals]


def fastest_unproven(evidence: Evidence, packed: Collection[str]) -> str | None:
    """The fastest variant that was seen to keep the floor, where nothing was proven to.

    Peers are held to what is seen, not to a proof; so this is what they are compared with
    where the samples are too few for one.

    Args:
        evidence: of the search.
        packed: ids of the trials that are in its bundle.
    """
    if evidence.kept is Verdict.PASSED:
        return None
    seen = [
        t
        for t in evidence.trials
        if t.id in packed
        and t.id not in {evidence.chosen, evidence.baseline}
        and (c := t.certify) is not None
        and c.drop <= c.allowed
    ]
    fastest = max(seen, key=speed, default=None)
    return None if fastest is None else fastest.id


def floor_ms(evidence: Evidence) -> float | None:
    """The shortest time that this machine's measured int8 peak allows for the network."""
    return evidence.feasibility.bounds_ms.get("roofline int8")


def _against(
    timed: Race,
    evidence: Evidence,
    against: str,
    name: str,
    least: float,
    *,
    own: str = OWN,
    amx: bool = True,
) -> Iterator[Goal]:
    if against not in timed.latency or own not in timed.latency:
        return
    # A goal stated for a CPU with AMX is still measured elsewhere, and said so.
    elsewhere = amx and "amx_int8" not in evidence.machine.flags
    words = _without_amx(evidence, timed, against) if elsewhere else ""
    value = timed.ratio(against, own).value
    who = "" if own == OWN else "unproven, "
    yield Goal(f"{who}{name}{words}", f">= {least:g}", value, "x", value >= least)


def _without_amx(evidence: Evidence, timed: Race, against: str) -> str:
    """What the goal would ask of this CPU: the whole network at its measured int8 peak."""
    words = " (goal is for AMX; none here"
    floor, median = floor_ms(evidence), _value(timed.latency[against], 50.0)
    if floor is None or median is None:
        return f"{words})"
    return f"{words}: at 100 % of the measured int8 peak {floor:.3g} ms, {median / floor:.3g}x)"


def _never_slower(timed: Race) -> Iterator[Goal]:
    """The first promise, at the median and at the tail; level within the intervals isn't behind."""
    if OWN not in timed.latency or UNTOUCHED not in timed.latency:
        return
    ratio = timed.ratio(UNTOUCHED, OWN)
    yield Goal("never slower, p50", ">= 1.0", ratio.value, "x", _not_behind(ratio))
    tail = timed.tail(UNTOUCHED, OWN)
    if tail is None:
        yield Goal("never slower, p99", ">= 1.0", "too few queries", "", None)
        return
    yield Goal(f"never slower, p{tail.q:g}", ">= 1.0", tail.value, "x", _not_behind(tail))


def _peers(timed: Race, judged: Mapping[str, Judged], peers: tuple[str, ...]) -> Iterator[Goal]:
    """Against the fastest peer that keeps the floor, and against the fastest that doesn't."""
    p50 = {
        name: value
        for name in peers
        if name in judged and (value := _value(timed.latency[name], 50.0)) is not None
    }
    keeping = [n for n in p50 if (q := judged[n].quality) is not None and q.drop <= q.allowed]
    best = min(keeping, key=lambda n: p50[n], default=None)
    fastest = min(p50, key=lambda n: p50[n], default=None)
    if best is None:
        yield Goal("against the best peer at equal quality", ">= 1.0", "none keeps it", "", None)
    else:
        words = f"the best peer at equal quality ({best}"
        verdict = q.verdict if (q := judged[best].quality) is not None else None
        yield _peer(timed, OWN, best, f"against {words}, which is {verdict})")
        if UNPROVEN in timed.latency:
            yield _peer(timed, UNPROVEN, best, f"unproven, against {words})")
    if fastest is not None and fastest != best:
        quality = judged[fastest].quality
        lost = f"loses {quality.drop:.3g} of {quality.metric}" if quality else "gave no answers"
        yield _peer(timed, OWN, fastest, f"against the fastest peer, which {lost} ({fastest})")


def _peer(timed: Race, own: str, peer: str, name: str) -> Goal:
    ratio = timed.ratio(peer, own)
    return Goal(name, ">= 1.0", ratio.value, "x", _not_behind(ratio))


def _not_behind(ratio: Ratio | TailRatio) -> bool | None:
    """Level within the interval isn't behind; an interval that would hide 5 % says nothing."""
    if ratio.value >= 1.0:
        return True
    if ratio.high < 1.0:
        return False
    return True if ratio.low >= 0.95 else None


def _at_most(name: str, reached: float | None, limit: float, unit: str) -> Goal:
    met = None if reached is None else reached <= limit
    return Goal(name, f"<= {limit:g}", reached, unit, met)


def _value(latency: Latency, q: float) -> float | None:
    point = latency.at(q)
    return None if point is None else point.value_ms

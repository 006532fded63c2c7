"""The clauses on size and memory: their words, and how far a miss is away; pure."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import Trial, Verdict
from whet.core.points import shared_percentile
from whet.core.units import bytes_words, round_up_bytes

__all__ = ["limit_clauses", "loosened", "nearest"]

_LEVEL = 0.02  # misses within this share of each other are equally near


def limit_clauses(trial: Trial, contract: Contract) -> list[tuple[str, Verdict, str]]:
    """Name, verdict and figures in words of each limit that the contract has."""
    return [_clause(name, value, limit) for name, value, limit in _limits(trial, contract)]


def nearest(trials: list[Trial], contract: Contract) -> list[Trial]:
    """Of trials that all break the contract, those that are nearest to its limits.

    Latencies whose intervals overlap are equally near; among those speed decides.
    """
    have = [t.latency.percentiles for t in trials if t.latency is not None]
    q = shared_percentile(have, contract.percentile)
    excess = {t.id: _excess(t, contract, q) for t in trials}
    least = min((high for _, high in excess.values()), default=0.0)
    return [t for t in trials if excess[t.id][0] <= least]


def loosened(trial: Trial, contract: Contract) -> str:
    """The limits that would let a trial pass, as ``"a size of 149 kB"``; empty if it does."""
    return " and ".join(
        f"a {name} of {bytes_words(round_up_bytes(value))}"
        for name, value, limit in _limits(trial, contract)
        if value is not None and value > limit
    )


def _excess(trial: Trial, contract: Contract, q: float) -> tuple[float, float]:
    """By what share the limit that is broken worst is exceeded, from and to; 0 where none is.

    A size counts from two per cent below itself, a latency from and to its interval's ends.

    Args:
        trial: of a group that breaks the contract.
        contract: with the limits.
        q: the percentile to compare latencies by.
    """
    sizes = [v / limit for _, v, limit in _limits(trial, contract) if v is not None]
    low = [0.0, *(size / (1 + _LEVEL) - 1 for size in sizes)]
    high = [0.0, *(size - 1 for size in sizes)]
    point = trial.latency.at(q) if trial.latency is not None else None
    if contract.limit_ms is not None and point is not None:
        ends = (point.low_ms, point.high_ms)
        from_ms, to_ms = (point.value_ms if end is None else end for end in ends)
        low.append(from_ms / contract.limit_ms - 1)
        high.append(to_ms / contract.limit_ms - 1)
    return max(low), max(high)


def _limits(trial: Trial, contract: Contract) -> Iterable[tuple[str, int | None, int]]:
    found = trial.footprint
    if contract.max_bytes is not None:
        yield "size", found.disk_bytes if found is not None else None, contract.max_bytes
    if contract.max_memory_bytes is not None:
        peak = found.peak_bytes if found is not None else None
        yield "memory", peak, contract.max_memory_bytes


def _clause(name: str, value: int | None, limit: int) -> tuple[str, Verdict, str]:
    if value is None:
        return name, Verdict.UNDECIDED, f"{name} not measured"
    own, its = bytes_words(value), bytes_words(limit)
    if own == its and value != limit:  # three digits don't tell them apart
        own, its = f"{value:,} B", f"{limit:,} B"
    verdict = Verdict.PASSED if value <= limit else Verdict.FAILED
    return name, verdict, f"{name} {own}, limit {its}"

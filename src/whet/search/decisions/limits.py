"""The clauses on size and memory: how far a miss is away; pure."""

from __future__ import annotations

from whet.core.contract import Contract
from whet.core.evidence import Trial
from whet.core.points import shared_percentile
from whet.core.units import bytes_words, round_up_bytes
from whet.measure.footprint_clauses import footprint_limits

__all__ = ["loosened", "nearest", "overrun", "roomier"]

_LEVEL = 0.02  # misses within this share of each other are equally near


def nearest(trials: list[Trial], contract: Contract) -> list[Trial]:
    """Of trials that all break the contract, those that are nearest to its limits.

    Latencies whose intervals overlap are equally near; among those speed decides.
    """
    have = [t.latency.percentiles for t in trials if t.latency is not None]
    q = shared_percentile(have, contract.percentile)
    excess = {t.id: _excess(t, contract, q) for t in trials}
    least = min((high for _, high in excess.values()), default=0.0)
    return [t for t in trials if excess[t.id][0] <= least]


def overrun(trial: Trial, contract: Contract) -> float:
    """By what share the limit on size or memory that is broken worst is exceeded; 0 for none."""
    limits = footprint_limits(trial.footprint, contract)
    return max((v / limit - 1 for _, v, limit in limits if v is not None and v > limit), default=0)


def roomier(trial: Trial, other: Trial, contract: Contract) -> bool:
    """Whether it comes nearer to the limits on size and memory than another that breaks them.

    One that keeps them always does; two that break them by about as much are equally near.
    """
    own, its = overrun(trial, contract), overrun(other, contract)
    return own < its and (own == 0 or (1 + own) * (1 + _LEVEL) < 1 + its)


def loosened(trial: Trial, contract: Contract) -> str:
    """The limits that would let a trial pass, as ``"a size of 149 kB"``; empty if it does."""
    return " and ".join(
        f"a {name} of {bytes_words(round_up_bytes(value))}"
        for name, value, limit in footprint_limits(trial.footprint, contract)
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
    sizes = [
        v / limit for _, v, limit in footprint_limits(trial.footprint, contract) if v is not None
    ]
    low = [0.0, *(size / (1 + _LEVEL) - 1 for size in sizes)]
    high = [0.0, *(size - 1 for size in sizes)]
    point = trial.latency.at(q) if trial.latency is not None else None
    if contract.limit_ms is not None and point is not None:
        ends = (point.low_ms, point.high_ms)
        from_ms, to_ms = (point.value_ms if end is None else end for end in ends)
        low.append(from_ms / contract.limit_ms - 1)
        high.append(to_ms / contract.limit_ms - 1)
    return max(low), max(high)

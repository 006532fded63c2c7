"""The clauses on size and memory: how far a miss is away; pure."""

from __future__ import annotations

from whet.core.contract import Contract
from whet.core.evidence import Trial
from whet.core.units import bytes_words, round_up_bytes
from whet.measure.clauses import footprint_limits

__all__ = ["loosened", "nearest"]

_LEVEL = 0.02  # misses within this share of each other are equally near


def nearest(trials: list[Trial], contract: Contract) -> list[Trial]:
    """Of trials that all break the contract, those that are nearest to its limits.

    Where no limit on size or memory is broken by any, all are: then speed decides,
    which is what is left to miss.
    """
    if not any(loosened(t, contract) for t in trials):
        return trials
    worst = {t.id: _excess(t, contract) for t in trials}
    least = min(worst.values())
    return [t for t in trials if 1 + worst[t.id] <= (1 + _LEVEL) * (1 + least)]


def loosened(trial: Trial, contract: Contract) -> str:
    """The limits that would let a trial pass, as ``"a size of 149 kB"``; empty if it does."""
    return " and ".join(
        f"a {name} of {bytes_words(round_up_bytes(value))}"
        for name, value, limit in footprint_limits(trial.footprint, contract)
        if value is not None and value > limit
    )


def _excess(trial: Trial, contract: Contract) -> float:
    """By what share the limit that is broken worst is exceeded, of latency too; 0 where none is."""
    over = [
        v / limit - 1
        for _, v, limit in footprint_limits(trial.footprint, contract)
        if v is not None
    ]
    point = trial.latency.at(contract.percentile) if trial.latency is not None else None
    if contract.limit_ms is not None and point is not None:
        over.append(point.value_ms / contract.limit_ms - 1)
    return max(0.0, *over) if over else 0.0

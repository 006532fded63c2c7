"""What was measured against the limits of a contract: verdicts, and the figures in words; pure."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import Footprint, Latency, Verdict
from whet.core.units import bytes_words
from whet.measure.statistics import queries_needed

__all__ = [
    "Clause",
    "footprint_clauses",
    "footprint_limits",
    "kept_latency",
    "latency_words",
    "queries_words",
]

Clause = tuple[str, Verdict, str]
"""Name, verdict, and figures in words."""


def kept_latency(latency: Latency | None, contract: Contract) -> Verdict:
    """Whether the percentile's confidence interval lies below the limit.

    A percentile without an interval (too few queries) decides nothing.
    """
    if contract.limit_ms is None:
        return Verdict.PASSED
    point = latency.at(contract.percentile) if latency is not None else None
    if point is None:
        return Verdict.UNDECIDED
    if point.high_ms is not None and point.high_ms <= contract.limit_ms:
        return Verdict.PASSED
    if point.low_ms is not None and point.low_ms > contract.limit_ms:
        return Verdict.FAILED
    return Verdict.UNDECIDED


def latency_words(latency: Latency | None, contract: Contract) -> str:
    """The figures of the latency clause; empty where the contract has no limit."""
    if contract.limit_ms is None:
        return ""
    point = latency.at(contract.percentile) if latency is not None else None
    if point is None:
        few = queries_words(contract, latency.queries) if latency is not None else ""
        return few or f"p{contract.percentile:g} not measured, limit {contract.limit_ms:g} ms"
    high = f", at most {point.high_ms:.3g}" if point.high_ms is not None else ""
    return f"p{contract.percentile:g} {point.value_ms:.3g} ms{high}, limit {contract.limit_ms:g} ms"


def queries_words(contract: Contract, had: int) -> str:
    """How many queries there were and how many prove the limit; empty where there were enough."""
    clean = queries_needed(contract.percentile)
    if contract.limit_ms is None or had >= clean:
        return ""
    one = queries_needed(contract.percentile, 1)
    return (
        f"p{contract.percentile:g} ≤ {contract.limit_ms:g} ms takes {clean:,} queries without a"
        f" miss to prove ({one:,} with one), and {had:,} were had"
    )


def footprint_limits(
    found: Footprint | None, contract: Contract
) -> Iterable[tuple[str, int | None, int]]:
    """Name, measured bytes and limit of each limit on size or memory that the contract has."""
    if contract.max_bytes is not None:
        yield "size", found.disk_bytes if found is not None else None, contract.max_bytes
    if contract.max_memory_bytes is not None:
        peak = found.peak_bytes if found is not None else None
        yield "memory", peak, contract.max_memory_bytes


def footprint_clauses(found: Footprint | None, contract: Contract) -> list[Clause]:
    """The clauses on size and memory that the contract has."""
    return [_clause(name, value, limit) for name, value, limit in footprint_limits(found, contract)]


def _clause(name: str, value: int | None, limit: int) -> Clause:
    if value is None:
        return name, Verdict.UNDECIDED, f"{name} not measured"
    own, its = bytes_words(value), bytes_words(limit)
    if own == its and value != limit:  # three digits don't tell them apart
        own, its = f"{value:,} B", f"{limit:,} B"
    verdict = Verdict.PASSED if value <= limit else Verdict.FAILED
    return name, verdict, f"{name} {own}, limit {its}"

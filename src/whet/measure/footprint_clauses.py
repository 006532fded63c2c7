"""Size and memory against the limits of a contract: verdicts, and the figures in words; pure."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import Footprint, Verdict
from whet.core.units import bytes_words

__all__ = [
    "Clause",
    "footprint_clauses",
    "footprint_limits",
]

Clause = tuple[str, Verdict, str]
"""Name, verdict, and figures in words."""


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

"""The clause on latency in words: the figures, or how many queries were too few for them; pure."""

from __future__ import annotations

from whet.core.contract import Contract
from whet.core.evidence import Latency, Verdict
from whet.measure.latency_clause import judging_point, kept_latency
from whet.measure.statistics import queries_needed

__all__ = ["latency_words", "queries_words"]


def latency_words(latency: Latency | None, contract: Contract) -> str:
    """The figures of the clause on latency; empty without a limit."""
    if contract.limit_ms is None:
        return ""
    asked, limit = f"p{contract.percentile:g}", f"{contract.limit_ms:g} ms"
    point = judging_point(latency, contract)
    if point is not None and point.q == contract.percentile:
        high = f", at most {point.high_ms:.3g}" if point.high_ms is not None else ""
        return f"{asked} {point.value_ms:.3g} ms{high}, limit {limit}"
    if point is not None and kept_latency(latency, contract) is Verdict.FAILED:
        return (
            f"p{point.q:g} is {point.value_ms:.3g} ms already, at least {point.low_ms:.3g},"
            f" and {asked} can't be less; limit {limit}"
        )
    few = queries_words(contract, latency.queries) if latency is not None else ""
    return few or f"{asked} not measured, limit {limit}"


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

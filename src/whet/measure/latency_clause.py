"""The clause on latency: what the percentiles that were measured say of the limit; pure.

A percentile is never below a lower one. So a limit that the highest percentile measured refutes
is refuted for the contract's own too, which may need more queries than there were time for:
a median above the limit says as surely that p99 is above it.
"""

from __future__ import annotations

from whet.core.contract import Contract
from whet.core.evidence import Latency, Percentile, Verdict

__all__ = ["judging_point", "kept_latency", "median_fits"]


def judging_point(latency: Latency | None, contract: Contract) -> Percentile | None:
    """The contract's percentile, else the highest below it that had queries enough."""
    known = latency.percentiles if latency is not None else ()
    return max((p for p in known if p.q <= contract.percentile), key=lambda p: p.q, default=None)


def kept_latency(latency: Latency | None, contract: Contract) -> Verdict:
    """Whether the percentile's confidence interval lies below the limit.

    A percentile without an interval (too few queries) decides nothing; a lower one
    than the contract's can refute the limit and never prove it.
    """
    if contract.limit_ms is None:
        return Verdict.PASSED
    point = judging_point(latency, contract)
    if point is None:
        return Verdict.UNDECIDED
    own = point.q == contract.percentile
    if own and point.high_ms is not None and point.high_ms <= contract.limit_ms:
        return Verdict.PASSED
    if point.low_ms is not None and point.low_ms > contract.limit_ms:
        return Verdict.FAILED
    return Verdict.UNDECIDED


def median_fits(latency: Latency | None, contract: Contract) -> bool:
    """Whether half of the queries certainly keep the limit: what misses it is the tail alone."""
    middle = latency.at(50.0) if latency is not None else None
    return (
        contract.limit_ms is not None
        and middle is not None
        and middle.high_ms is not None
        and middle.high_ms <= contract.limit_ms
    )

"""What the bounds of a loss allow to say; pure.

Passed only where the upper bound keeps what is allowed, failed only where the lower bound
breaks it; else there is not enough data, with the samples that would probably settle it.
"""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Verdict
from whet.measure.statistics import Bounds, samples_needed

__all__ = ["settle", "worst"]


def settle(
    bounds: Bounds, n: int, allowed: float, confidence: float, smallest: int
) -> tuple[Verdict, int | None, str]:
    """The verdict, the samples that would probably settle it, and how the bound was found.

    Args:
        bounds: of the loss.
        n: samples that they rest on.
        allowed: the loss allowed.
        confidence: of the bounds.
        smallest: samples below which the bounds mean nothing.
    """
    method = bounds.method
    if n < smallest:
        few = f"{method}; fewer than {smallest} samples settle nothing"
        return Verdict.UNDECIDED, smallest, few
    if bounds.upper <= allowed:
        return Verdict.PASSED, None, method
    if bounds.lower > allowed:
        return Verdict.FAILED, None, method
    return Verdict.UNDECIDED, samples_needed(bounds, n, allowed, confidence), method


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Failed if one is, else undecided if one is, else passed."""
    found = set(verdicts)
    for verdict in (Verdict.FAILED, Verdict.UNDECIDED):
        if verdict in found:
            return verdict
    return Verdict.PASSED

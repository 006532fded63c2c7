"""What the bounds of a loss allow to say; pure.

Passed only where the upper bound keeps what is allowed, failed only where the lower bound
breaks it; else there is not enough data, with the samples that would probably settle it.

The bound of a mean knows nothing of what no sample showed: where 1 % of the inputs are destroyed,
37 of 100 sets of 100 samples hold none of them. Where it is known what a destroyed input costs,
nothing passes on fewer samples than would show a share of them that alone breaks the limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Verdict
from whet.measure.statistics import Bounds, samples_needed, samples_to_show, unseen_share

__all__ = ["settle", "worst"]


def settle(
    bounds: Bounds,
    n: int,
    allowed: float,
    confidence: float,
    smallest: int,
    destroyed: float | None = None,
) -> tuple[Verdict, int | None, str]:
    """The verdict, the samples that would probably settle it, and how the bound was found.

    Args:
        bounds: of the loss.
        n: samples that they rest on.
        allowed: the loss allowed.
        confidence: of the bounds.
        smallest: samples below which the bounds mean nothing.
        destroyed: the loss if all inputs were destroyed, where the bounds don't heed
            what no sample showed.
    """
    method = bounds.method
    shown = samples_to_show(allowed / destroyed, confidence) if destroyed else None
    if n < smallest:
        few = f"{method}; fewer than {smallest} samples settle nothing"
        return Verdict.UNDECIDED, max(smallest, shown or 0), few
    if bounds.lower > allowed:
        return Verdict.FAILED, None, method
    within = bounds.upper <= allowed
    needed = None if within else samples_needed(bounds, n, allowed, confidence)
    if not destroyed or destroyed * unseen_share(n, confidence) <= allowed:
        return Verdict.PASSED if within else Verdict.UNDECIDED, needed, method
    if shown is not None and (within or needed is not None):
        needed = max(needed or 0, shown)
    hidden = "so few samples may not show destroyed inputs that cost more than is allowed"
    return Verdict.UNDECIDED, needed, f"{method}; {hidden}"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Failed if one is, else undecided if one is, else passed."""
    found = set(verdicts)
    for verdict in (Verdict.FAILED, Verdict.UNDECIDED):
        if verdict in found:
            return verdict
    return Verdict.PASSED

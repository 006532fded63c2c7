"""The highest rate that a service keeps its limit at: where to look next; pure.

The rate is doubled until the limit breaks, then the gap is halved. A rate counts as kept where as
large a share as the percentile says was answered within the limit, and hardly anything was lost. That
is a search, and no proof: the verdict of the load at the rate that was found says how sure it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from whet.measure.load.outcome import Load

__all__ = ["Tried", "highest_kept", "keeps", "next_rate"]

_KEPT_SHARE = 0.98  # of what is offered has to be answered
_EXACT = 1.05  # the gap between the highest kept and the lowest broken that is small enough
_MOST = 12


@dataclass(frozen=True)
class Tried:
    """A rate, and whether the limit was kept at it."""

    rate_per_s: float
    kept: bool


def keeps(load: Load) -> bool:
    """Whether a load was carried: its percentile within the limit, and hardly anything lost."""
    if load.limit_ms is None or not load.requests:
        return False
    answered = load.answered_per_s / load.offered_per_s
    good = load.goodput_per_s / load.offered_per_s
    return answered >= _KEPT_SHARE and good >= load.percentile / 100


def next_rate(tried: Sequence[Tried], first_per_s: float) -> float | None:
    """The rate to try next; ``None`` where enough is known."""
    if not tried:
        return first_per_s
    if len(tried) >= _MOST:
        return None
    kept = highest_kept(tried)
    broken = [t.rate_per_s for t in tried if not t.kept]
    if kept is None:
        return min(broken) / 2
    above = [rate for rate in broken if rate > kept]
    if not above:
        return 2 * kept
    if min(above) <= _EXACT * kept:
        return None
    return math.sqrt(kept * min(above))


def highest_kept(tried: Sequence[Tried]) -> float | None:
    """The highest rate that was kept below the lowest that wasn't."""
    lowest_broken = min((t.rate_per_s for t in tried if not t.kept), default=float("inf"))
    kept = [t.rate_per_s for t in tried if t.kept and t.rate_per_s < lowest_broken]
    return max(kept, default=None)

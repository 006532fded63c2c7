"""Which candidates no other beats in both latency and quality; pure."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Status, Trial
from whet.search.figures import damage, speed

__all__ = ["frontier"]


def frontier(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The undominated trials, from most accurate to fastest.

    A trial is dominated when another is at least as fast and loses no more
    quality, and is better in one of the two. Of exact equals the first stays.
    """
    known = [t for t in trials if t.status is Status.OK and damage(t) < float("inf")]
    ordered = sorted(known, key=lambda t: (-speed(t), damage(t)))
    kept: list[Trial] = []
    least = float("inf")
    for trial in ordered:
        if damage(trial) < least:
            least = damage(trial)
            kept.append(trial)
    return tuple(reversed(kept))

"""Trials with given figures, for tests of the pure parts of the search."""

from __future__ import annotations

import msgspec

from whet.core.evidence import (
    Footprint,
    Latency,
    Percentile,
    Quality,
    Ratio,
    Status,
    Trial,
    Verdict,
)
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.measure.statistics import paired_proportions


def quality(drop: float, *, width: float = 0.002, allowed: float = 0.01, n: int = 1000) -> Quality:
    bound = drop + width
    if bound <= allowed:
        verdict = Verdict.PASSED
    elif drop - width > allowed:
        verdict = Verdict.FAILED
    else:
        verdict = Verdict.UNDECIDED
    return Quality("top1", n, 0.9, 0.9 - drop, drop, bound, allowed, 0.95, verdict, "test", 5000)


def balance(losses: int, gains: int, n: int, *, allowed: float = 0.01) -> Quality:
    """As `whet.measure.quality.judge` gives it for top-1, of so many answers lost and gained."""
    bounds = paired_proportions(losses, gains, n, 0.95)
    width = bounds.upper - bounds.drop
    return msgspec.structs.replace(
        quality(bounds.drop, width=width, allowed=allowed, n=n), method=bounds.method
    )


def latency(p99_ms: float, *, half_width: float = 0.05) -> Latency:
    point = Percentile(99.0, p99_ms, p99_ms - half_width, p99_ms + half_width)
    middle = Percentile(50.0, p99_ms * 0.9, p99_ms * 0.89, p99_ms * 0.91)
    return Latency(1, 1, 3, 600, p99_ms, p99_ms * 1.2, (middle, point), 0.01, 1000.0 / p99_ms)


SAME = msgspec.structs.replace(quality(0.0), verdict=Verdict.PASSED, same=True, difference=1e-6)


def trial(
    name: str,
    speedup: float,
    *,
    untouched: bool = False,
    select: Quality | None = None,
    certify: Quality | None = None,
    p99_ms: float = 5.0,
    disk: int = 1000,
    noisy: bool = False,
    status: Status = Status.OK,
) -> Trial:
    steps = () if untouched else (Step("quantize-nncf-ir", {"seed": hash(name) % 1000}),)
    if untouched and status is Status.OK:
        # As the search has it: its executed answers were compared with the original's.
        select, certify = select or SAME, certify or SAME
    recipe = Recipe(steps, name.replace(" ", "-"), Settings())
    return Trial(
        recipe.digest(),
        name,
        recipe,
        1,
        status,
        1.0,
        latency=latency(p99_ms),
        speedup=Ratio("anchor", speedup, speedup * 0.98, speedup * 1.02, noisy),
        footprint=Footprint(disk, peak_bytes=10 * disk),
        select=select,
        certify=certify,
    )

"""Which miss is the nearest, and whether noise made it; pure, and light enough for a report."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import Status, Trial, Verdict
from whet.measure.latency_clause import kept_latency, median_fits
from whet.search.decisions.figures import speed
from whet.search.decisions.limits import nearest

__all__ = ["nearer", "noise_decides", "proven"]


def nearer(
    chosen: Trial, verdict: Verdict, contract: Contract, trials: Iterable[Trial]
) -> Trial | None:
    """A certified trial that misses the limits by less, though it wasn't safe to choose.

    The worst of all its misses counts, each as a share of its limit (`nearest`).
    """
    if verdict is not Verdict.FAILED:
        return None
    others = [t for t in proven(trials) if t.id != chosen.id]
    near = nearest([chosen, *others], contract)
    return None if any(t.id == chosen.id for t in near) else max(near, key=speed)


def noise_decides(chosen: Trial, contract: Contract, unrest: str) -> bool:
    """Whether the tail alone misses the limit, and other work on the machine may have made it."""
    return (
        bool(unrest)
        and kept_latency(chosen.latency, contract) is not Verdict.PASSED
        and median_fits(chosen.latency, contract)
    )


def proven(trials: Iterable[Trial]) -> list[Trial]:
    """Those whose quality is certified: that may be chosen."""
    return [
        t
        for t in trials
        if t.status is Status.OK and t.certify is not None and t.certify.verdict is Verdict.PASSED
    ]

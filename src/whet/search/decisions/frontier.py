"""Which candidates no other beats in both latency and quality, and which are of use; pure."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Status, Trial, Verdict
from whet.search.decisions.figures import damage, speed

__all__ = ["frontier", "of_use"]


def frontier(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """The undominated trials, from most accurate to fastest.

    A trial is dominated when another loses no more quality and isn't slower, as far
    as the interval of its own speed-up tells: what can't be told to be faster than
    something on the frontier that loses less has nothing to offer. Of exact equals the first
    stays.
    """
    known = [t for t in trials if t.status is Status.OK and damage(t) < float("inf")]
    kept: list[Trial] = []
    for trial in sorted(known, key=lambda t: (damage(t), -speed(t))):
        if not kept or _surely(trial) > speed(kept[-1]):
            kept.append(trial)
    return tuple(kept)


def of_use(finalists: Iterable[Trial], chosen: Trial) -> tuple[Trial, ...]:
    """Those that the bundle holds: not what was shown to lose too much, unless nothing is better.

    What isn't proven either way stays, and says so.
    """
    return tuple(
        t
        for t in finalists
        if t.id == chosen.id or t.certify is None or t.certify.verdict is not Verdict.FAILED
    )


def _surely(trial: Trial) -> float:
    """The lower end of its speed-up."""
    return trial.speedup.low if trial.speedup is not None else 0.0

"""What an output beside the metric held back, in words; pure.

A candidate's metric may be proven and one of its outputs not. Then neither a larger drop nor a
look at the metric's figures helps: the output has to be named, with what would settle it.
"""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import OutputCheck, Quality, Status, Trial
from whet.search.decisions.figures import speed
from whet.search.decisions.judged import check_words, deciding, metric_holds
from whet.search.decisions.limits import roomier

__all__ = ["closest_check", "held_back", "held_words"]


def held_words(trial: Trial) -> str:
    """The outputs that decided a finalist's verdict, in words; empty where the metric did."""
    found = deciding(trial.certify) if trial.certify is not None else ()
    return "; ".join(map(check_words, found))


def held_back(chosen: Trial, trials: Iterable[Trial], contract: Contract) -> str:
    """A better finalist that outputs alone held back, and the remedy; empty where there is none.

    Args:
        chosen: that it is compared with, by speed and by limits on size and memory.
        trials: all.
        contract: with these limits.
    """
    found = [
        t
        for t in trials
        if t.status is Status.OK
        and held_words(t)
        and (speed(t) > speed(chosen) or roomier(t, chosen, contract))
    ]
    if not found:
        return ""
    best = max(found, key=speed)
    remedy = _ignoring(best.certify) if best.certify is not None else ""
    better = "looks faster" if speed(best) > speed(chosen) else "comes nearer to the limits"
    return f"{best.name} {better}, but {held_words(best)}{remedy}."


def _ignoring(quality: Quality) -> str:
    """The option that leaves the outputs out, where the metric is proven without them."""
    found = deciding(quality)
    if not metric_holds(quality) or any(c.rule == "constant" for c in found):
        return ""
    options = " ".join(f"--ignore-output {c.name}" for c in found)
    whose = "that output" if len(found) == 1 else "those outputs"
    return f". If nothing reads {whose}, give {options}"


def closest_check(quality: Quality) -> OutputCheck | None:
    """The check that uses up more of what it is allowed than the metric and all others do."""

    def used(bound: float, allowed: float) -> float:
        return bound / allowed if allowed > 0 else float("inf")

    most = max(quality.outputs, key=lambda c: used(c.bound, c.allowed), default=None)
    if most is None or used(quality.bound, quality.allowed) >= used(most.bound, most.allowed):
        return None
    return most

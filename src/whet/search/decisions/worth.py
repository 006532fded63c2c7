"""Whose quality is worth judging, once its latency is known; pure.

Judging asks a candidate for the whole select split, so it is kept for those that
can still win. Speed decides that, but only between candidates that keep the
contract's limits on size and memory: one that keeps them while nothing else does
may be chosen however slow it is, and one that breaks them can't be chosen beside
one that doesn't. Where all break them, one that comes nearer to them than all that
are good so far is judged however slow it is: the nearest miss says what could be kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import Status, Trial
from whet.search.decisions.decide import NOISE, chance, clearly_faster
from whet.search.decisions.figures import answers_right, is_untouched, speed
from whet.search.decisions.judged import within
from whet.search.decisions.limits import overrun, roomier
from whet.search.decisions.outlook import SURE

__all__ = ["best_so_far", "keeps_room", "looks_good", "worth_judging"]

_NEAR = 0.9  # settings may still make it the fastest


def keeps_room(trial: Trial, contract: Contract) -> bool:
    """Whether it breaks no limit on size or memory, as far as they were measured."""
    return not overrun(trial, contract)


def looks_good(trial: Trial) -> bool:
    """Whether it was judged and what was seen of its quality is allowed; an original needn't be."""
    return (
        trial.speedup is not None
        and trial.select is not None
        and not answers_right(trial)
        and within(trial.select)
    )


def best_so_far(known: Iterable[Trial], anchor: Trial | None) -> Trial | None:
    """The fastest that looks good or gives the original's answers; the anchor where none is ahead.

    Ahead is what is clearly faster, or seems so by more than noise makes.
    """
    ahead = [
        t
        for t in known
        if t.status is Status.OK
        and (looks_good(t) or answers_right(t))
        and (clearly_faster(t) or speed(t) > NOISE)
    ]
    return max(ahead, key=speed, default=anchor)


def worth_judging(trial: Trial, known: Iterable[Trial], contract: Contract, certify_n: int) -> bool:
    """Whether a timed candidate can still win, or stand in where faster ones fail to be proven.

    Args:
        trial: with its speed-up and footprint.
        known: all trials so far.
        contract: whose limits on size and memory count.
        certify_n: samples of the certify part.
    """
    if trial.speedup is None:
        return False
    rivals = [t for t in known if looks_good(t) or (t.status is Status.OK and is_untouched(t))]
    if not keeps_room(trial, contract) and any(keeps_room(t, contract) for t in rivals):
        return False
    rivals = [t for t in rivals if not roomier(trial, t, contract)]
    if not rivals:
        return True
    sure = (t for t in rivals if looks_good(t) and chance(t, certify_n) >= SURE)
    best = max((speed(t) for t in sure), default=1.0)
    return speed(trial) > _NEAR * best

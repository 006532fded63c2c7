"""Waves of trials: recipes tried in order, each wave within its share of the time. A thin shell.

With a latency limit a wave may end early: as soon as a candidate keeps the
contract with slack.
"""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe
from whet.search.decisions.decide import chance, promising
from whet.search.decisions.limits import roomier
from whet.search.decisions.outlook import LIKELY, SURE
from whet.search.decisions.worth import keeps_room
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup

__all__ = ["enough", "good", "roomier_is_sure", "share_allowed", "short_of_room", "wave"]

_SLACK = 0.9  # a limit is kept with slack below this share of it
_WORTH = 0.2  # chance of being certified from which on other settings are tried for it


def wave(
    trials: Trials,
    rung: int,
    recipes: Iterable[Recipe],
    *,
    judge: bool = True,
    share: float = 1.0,
    must: bool = False,
    stop: Setup | None = None,
) -> list[Trial]:
    """Try recipes in order and return those that ran.

    Args:
        trials: where they are tried.
        rung: of the ladder.
        recipes: the most promising first.
        judge: whether quality is judged.
        share: of the time left for climbing that the wave may take.
        must: try them whatever time is left: without the untouched graph on every
            runtime that compiles in seconds nobody can say "never slower".
        stop: end the wave when a candidate of this search keeps the contract.
    """
    most_s = trials.time_share_s(share)
    tried: list[Trial] = []
    for recipe in recipes:
        if stop is not None and enough(stop, trials):
            break
        trial = trials.attempt(recipe, rung, judge=judge, until_s=most_s, must=must)
        if trial is not None:
            tried.append(trial)
    return [t for t in tried if t.status is Status.OK]


def enough(setup: Setup, trials: Trials) -> bool:
    """Whether a promising candidate keeps the latency limit with slack, and those on room."""
    contract = setup.contract
    if contract.limit_ms is None:
        return False
    for trial in trials.all.values():
        point = trial.latency.at(contract.percentile) if trial.latency is not None else None
        reach = None if point is None else (point.high_ms or point.value_ms)
        # Quick timings run too few queries for a high percentile: take their slowest query.
        reach = reach if reach is not None else (trial.latency.max_ms if trial.latency else None)
        within = reach is not None and reach <= _SLACK * contract.limit_ms
        # The original is promising whatever room it takes.
        if within and keeps_room(trial, contract) and _likely(setup, trial):
            return True
    return False


def good(setup: Setup, trial: Trial) -> bool:
    """Whether it may well be certified, and breaks no limit on size or memory."""
    return promising(trial, setup.contract, setup.certify.samples, least=_WORTH)


def _likely(setup: Setup, trial: Trial) -> bool:
    return promising(trial, setup.contract, setup.certify.samples)


def short_of_room(setup: Setup, trials: Trials, *, least: float = LIKELY) -> bool:
    """Whether nothing that is promising keeps the limits on size and memory yet.

    Args:
        setup: of the search.
        trials: so far.
        least: chance of being certified from which on a candidate is promising.
    """
    contract = setup.contract
    if contract.max_bytes is None and contract.max_memory_bytes is None:
        return False
    n = setup.certify.samples
    return not any(
        promising(t, contract, n, least=least) and keeps_room(t, contract)
        for t in trials.all.values()
    )


def roomier_is_sure(setup: Setup, trials: Trials) -> bool:
    """Whether what is sure of its quality comes nearer to the limits than the untouched graph."""
    contract, n = setup.contract, setup.certify.samples
    untouched = trials.untouched()
    return any(
        t not in untouched
        and chance(t, n) >= SURE
        and all(roomier(t, other, contract) for other in untouched)
        for t in trials.all.values()
    )


def share_allowed(setup: Setup, trials: Trials) -> float:
    """What share of the untouched graph's size the contract allows; 1 if it limits no size."""
    sizes = [t.footprint.disk_bytes for t in trials.untouched() if t.footprint is not None]
    limit = setup.contract.max_bytes
    return 1.0 if limit is None else limit / min(sizes, default=1)

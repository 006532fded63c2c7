"""Candidates that only their calibration tells apart; pure.

How ranges are estimated, on how many samples, how weights are rounded and how biases are corrected
decides the numbers in a quantised graph, not its layers and their precisions. Such
candidates run at one speed; where their timings differ, the machine did. So
between them quality decides, which is the same in every search, and their
timings are taken together: the median of several is worth more than the best.

Candidates that share their graph, calibration included, and differ in settings that
answers don't hang on (threads, streams, pinning) are twins: they pass or fail together,
so a second of them among the finalists proves nothing new.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

import msgspec

from whet.core.evidence import Trial
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.search.decisions.figures import plainest, speed

__all__ = ["answer_kind", "engine_kind", "one_of_each_answer", "safest_of_each_kind"]

# Options of the quantisers that change numbers only.
_CALIBRATION = frozenset({"subset_size", "ranges", "bias", "calibration", "percentile", "seed"})
# Passes that do the same.
_NUMBERS = frozenset({"round-weights", "restore-weights"})


def engine_kind(recipe: Recipe) -> str:
    """A digest that is equal for recipes whose engines do the same work."""
    steps = tuple(
        msgspec.structs.replace(
            step, options={k: v for k, v in step.options.items() if k not in _CALIBRATION}
        )
        for step in recipe.steps
        if step.name not in _NUMBERS
    )
    return msgspec.structs.replace(recipe, steps=steps).digest()


def answer_kind(recipe: Recipe) -> str:
    """A digest that is equal for recipes of one graph whose settings change speed alone.

    Calibration counts here: what another calibration answers says nothing of this one.
    """
    own = recipe.settings
    shared = Settings(precision=own.precision, round_up=own.round_up)
    return msgspec.structs.replace(recipe, settings=shared).digest()


def one_of_each_answer(trials: Iterable[Trial], *, within: float) -> tuple[Trial, ...]:
    """The same trials, with one of each `answer_kind` before any that is a twin of another.

    Args:
        trials: the most promising first; that order stays among the first; twins go by speed.
        within: share of the speed that doesn't tell twins apart: of those the plainest is first.
    """
    kinds: dict[str, list[Trial]] = {}
    for trial in trials:
        kinds.setdefault(answer_kind(trial.recipe), []).append(trial)
    first = [plainest(members, within=within) for members in kinds.values()]
    taken = {t.id for t in first}
    twins = [t for members in kinds.values() for t in members if t.id not in taken]
    return (*first, *sorted(twins, key=speed, reverse=True))


def safest_of_each_kind(
    trials: Iterable[Trial], risk: Callable[[Trial], float]
) -> tuple[Trial, ...]:
    """Of each kind of engine the trial with the least risk, the fastest kind first.

    Args:
        trials: in any order.
        risk: of a trial; the least is taken, and the smallest id where two are equal.
    """
    kinds: dict[str, list[Trial]] = {}
    for trial in trials:
        kinds.setdefault(engine_kind(trial.recipe), []).append(trial)
    ranked = sorted(
        kinds.items(), key=lambda kind: (-statistics.median(map(speed, kind[1])), kind[0])
    )
    return tuple(min(members, key=lambda t: (risk(t), t.id)) for _, members in ranked)

"""Candidates that only their calibration tells apart; pure.

How ranges are estimated, on how many samples, and how biases are corrected
decides the numbers in a quantised graph, not its layers and their precisions. Such
candidates run at one speed; where their timings differ, the machine did. So
between them quality decides, which is the same in every search, and their
timings are taken together: the median of several is worth more than the best.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

import msgspec

from whet.core.evidence import Trial
from whet.core.recipe import Recipe
from whet.search.figures import speed

__all__ = ["engine_kind", "safest_of_each_kind"]

# Options of the quantisers that change numbers only.
_CALIBRATION = frozenset({"subset_size", "ranges", "bias", "calibration", "percentile", "seed"})


def engine_kind(recipe: Recipe) -> str:
    """A digest that is equal for recipes whose engines do the same work."""
    steps = tuple(
        msgspec.structs.replace(
            step, options={k: v for k, v in step.options.items() if k not in _CALIBRATION}
        )
        for step in recipe.steps
    )
    return msgspec.structs.replace(recipe, steps=steps).digest()


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

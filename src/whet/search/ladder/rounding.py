"""Rung 2: where int8 isn't sure to be certified, its weights are rounded with care first.

It costs the candidate no speed, as leaving layers in float does, and needs no labels. But
it takes as long as a few quantisers, so that it is done for one kind of engine only: the fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe
from whet.search.decisions.decide import promising
from whet.search.decisions.figures import speed
from whet.search.decisions.outlook import SURE
from whet.search.ladder import variations
from whet.search.ladder.trials import Trials
from whet.search.ladder.waves import wave
from whet.search.setup import Setup

__all__ = ["round_with_care", "worth_rounding"]

_GAIN = 1.05  # speed over the fastest that is sure from which on a candidate is worth it


def round_with_care(setup: Setup, trials: Trials) -> None:
    """Try the fastest quantised candidate again with weights rounded in advance."""

    def sure(trial: Trial) -> bool:
        return promising(trial, setup.contract, setup.certify.samples, least=SURE)

    wave(trials, 2, worth_rounding(trials.all.values(), sure))


def worth_rounding(trials: Iterable[Trial], sure: Callable[[Trial], bool]) -> tuple[Recipe, ...]:
    """Recipes for the fastest that can be rounded, if it is clearly faster than all that is sure.

    Args:
        trials: all so far.
        sure: whether one will be certified as it is.
    """
    ran = sorted((t for t in trials if t.status is Status.OK), key=speed, reverse=True)
    fast_enough = _GAIN * max((speed(t) for t in ran if sure(t)), default=0.0)
    judged = (
        t
        for t in ran
        if t.select is not None
        and speed(t) > fast_enough
        # What one loses beside its base, which is good, isn't its weights' rounding.
        and not variations.is_changed(t.recipe.steps)
    )
    return next((recipes for t in judged if (recipes := tuple(variations.rounded(t)))), ())

"""What a trial usually takes, from those before it; pure."""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe

__all__ = ["usual_s"]

# What a first trial is taken to need: Inductor compiles C++.
_GUESS_S = {"inductor": 60.0}
_ANY_GUESS_S = 10.0


def usual_s(recipe: Recipe, trials: Iterable[Trial]) -> float:
    """Seconds that a trial of this kind took so far; a guess for the first on its runtime.

    Passes take about as long for one runtime as for another, so the guess is never
    below what they took elsewhere.

    Args:
        recipe: to be tried.
        trials: all so far.
    """
    took = [
        (t.recipe.runtime, t.seconds)
        for t in trials
        if bool(t.recipe.steps) == bool(recipe.steps) and t.status is Status.OK
    ]
    like = [s for runtime, s in took if runtime == recipe.runtime]
    if like:
        return max(like)
    elsewhere = [s for runtime, s in took if recipe.steps and runtime not in _GUESS_S]
    return max((_GUESS_S.get(recipe.runtime, _ANY_GUESS_S), *elsewhere))

"""What a trial usually takes, from those before it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from whet.core.evidence import Status, Trial
from whet.core.recipe import Recipe
from whet.search.figures import is_untouched, row_ms

__all__ = ["usual_s"]

# What a first trial is taken to need: Inductor compiles C++.
_GUESS_S = {"inductor": 60.0}
_ANY_GUESS_S = 10.0

# Calibration rows of each quantiser, where a recipe doesn't say.
_CALIBRATION_ROWS: Mapping[str, int] = {
    "quantize-nncf": 300,
    "quantize-nncf-ir": 300,
    "quantize-ort": 128,
}
# A calibration row takes this many times what the untouched graph takes for one: its statistics
# are collected operator by operator, and biases are corrected on some rows once more.
_COLLECTING = 3.0


def usual_s(recipe: Recipe, trials: Iterable[Trial], *, repair_rows: int) -> float:
    """Seconds that a trial of this kind took so far; a guess for the first on its runtime.

    Passes take about as long for one runtime as for another, so the guess is never
    below what they took elsewhere. What fewer calibration rows saved the others is added.

    Args:
        recipe: to be tried.
        trials: all so far.
        repair_rows: that calibration can draw from.
    """
    known = list(trials)
    row_s = _fastest_row_s(known)

    def calibration_s(of: Recipe) -> float:
        return _COLLECTING * row_s * min(repair_rows, _calibration_rows(of))

    own_s = calibration_s(recipe)
    took = [
        (t.recipe.runtime, t.seconds + max(0.0, own_s - calibration_s(t.recipe)))
        for t in known
        if bool(t.recipe.steps) == bool(recipe.steps) and t.status is Status.OK
    ]
    like = [s for runtime, s in took if runtime == recipe.runtime]
    if like:
        return max(like)
    elsewhere = [s for runtime, s in took if recipe.steps and runtime not in _GUESS_S]
    return max((_GUESS_S.get(recipe.runtime, _ANY_GUESS_S), *elsewhere))


def _fastest_row_s(trials: Iterable[Trial]) -> float:
    times = (row_ms(t) for t in trials if is_untouched(t))
    return min((ms for ms in times if ms is not None), default=0.0) / 1e3


def _calibration_rows(recipe: Recipe) -> int:
    rows = (
        step.options.get("subset_size", _CALIBRATION_ROWS[step.name])
        for step in recipe.steps
        if step.name in _CALIBRATION_ROWS
    )
    return max(rows, default=0)

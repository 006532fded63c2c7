"""The two figures that decide between candidates: speed and damage; pure."""

from __future__ import annotations

from whet.core.evidence import Quality, Trial
from whet.core.settings import Precision

__all__ = ["damage", "is_untouched", "speed"]


def is_untouched(trial: Trial) -> bool:
    """No pass and full precision: the original on some runtime."""
    return not trial.recipe.steps and trial.recipe.settings.precision is Precision.FP32


def speed(trial: Trial) -> float:
    """Speed-up against the search's anchor; 0 where it wasn't measured."""
    return trial.speedup.value if trial.speedup is not None else 0.0


def damage(trial: Trial) -> float:
    """Observed loss of quality on the best split judged; infinite where unknown.

    A gain counts as no loss: a candidate isn't better for being luckier. The
    untouched original loses nothing by definition.
    """
    if is_untouched(trial):
        return 0.0
    quality: Quality | None = trial.certify or trial.select
    return max(0.0, quality.drop) if quality is not None else float("inf")

"""The two figures that decide between candidates, speed and damage; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from whet.core.evidence import Latency, Quality, Ratio, Trial

__all__ = [
    "ALIKE",
    "answers_right",
    "damage",
    "divided",
    "is_untouched",
    "plainest",
    "query_ms",
    "row_ms",
    "speed",
]

ALIKE = 0.02  # speeds within this share of each other count as equal: a restart makes as much


def is_untouched(trial: Trial) -> bool:
    """The original on some runtime; see `Recipe.untouched`."""
    return trial.recipe.untouched


def answers_right(trial: Trial) -> bool:
    """Whether it is untouched and its executed answers are the original's but for rounding."""
    quality = trial.certify or trial.select
    return is_untouched(trial) and quality is not None and quality.same


def speed(trial: Trial) -> float:
    """Speed-up against the search's anchor; 0 where it wasn't measured."""
    return trial.speedup.value if trial.speedup is not None else 0.0


def divided(own: Ratio, other: Ratio, against: str) -> Ratio:
    """The speed-up against the contender that ``other`` is of; both are against a third.

    They come from different races, so their errors are independent: in logarithms, the
    widths of their intervals add as the sides of a right angle do.
    """
    value = own.value / other.value
    below = math.hypot(math.log(own.value / own.low), math.log(other.high / other.value))
    above = math.hypot(math.log(own.high / own.value), math.log(other.value / other.low))
    return Ratio(
        against=against,
        value=value,
        low=value * math.exp(-below),
        high=value * math.exp(above),
        noisy=own.noisy or other.noisy,
    )


def query_ms(latency: Latency | None) -> float | None:
    """The median of a query, where it was measured."""
    point = latency.at(50.0) if latency is not None else None
    return point.value_ms if point is not None else None


def row_ms(trial: Trial) -> float | None:
    """What one row took at the median, in ms; ``None`` where it wasn't measured."""
    median = query_ms(trial.latency)
    if trial.latency is None or median is None:
        return None
    return median / trial.latency.batch


def plainest(
    trials: Iterable[Trial],
    *,
    within: float,
    value: Callable[[Trial], float] = speed,
    before: Callable[[Trial], bool] = lambda _: True,
) -> Trial:
    """Of trials about as fast as the fastest, the one with the fewest passes and settings.

    Timings differ by a few per cent from one search to the next. What is
    tried further must not hang on that, or a search that is started again goes
    another way: where nothing but chance tells trials apart, a fixed order does.

    Args:
        trials: at least one.
        within: share of the fastest's speed by which a trial may be slower.
        value: the speed of a trial, in any unit.
        before: what stands before all others that are about as fast, however plain they are.
    """
    known = [(t, value(t)) for t in trials]
    best = max(fast for _, fast in known)
    near = [t for t, fast in known if fast >= (1 - within) * best]
    return min(
        near,
        key=lambda t: (
            not before(t),
            len(t.recipe.steps),
            len(t.recipe.settings.changed()),
            t.recipe.digest(),
        ),
    )


def damage(trial: Trial) -> float:
    """Observed loss of quality on the best split judged; infinite where unknown.

    A gain counts as no loss: a candidate isn't better for being luckier. An
    untouched engine that gives the original's answers loses nothing.
    """
    if answers_right(trial):
        return 0.0
    quality: Quality | None = trial.certify or trial.select
    return max(0.0, quality.drop) if quality is not None else float("inf")

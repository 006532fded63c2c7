"""How a race is run, and what its timings come to. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Footprint, Latency, Ratio, TailRatio
from whet.core.note import Note
from whet.core.points import shared_percentile
from whet.errors import MeasurementError, OptionError, WhetError
from whet.measure.noise import uneven
from whet.measure.statistics import (
    median_ratio_interval,
    percentiles,
    queries_needed,
    tail_ratio_interval,
)

__all__ = ["ClockPlan", "Race", "Turn", "latency_of", "restarts_that_fit", "turn_seconds"]

_SHOWN = (50.0, 90.0, 95.0, 99.0, 99.9)
_WIDE = 0.12  # of an interval that should settle whether there is a difference
_STRADDLE = 0.10
_MISSES_PLANNED = 5


class ClockPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How contenders are timed.

    Attributes:
        batch: rows per query.
        concurrency: callers at once.
        restarts: fresh processes per contender.
        rounds: turns of each contender per restart.
        queries_per_round: queries of one turn.
        seconds: wall time that the whole race should take, starts and warm-up included. A turn
            is cut short, and restarts beyond the second are left out, to keep to it; each
            caller asks at least once in each turn.
        seed: of every order and every choice of inputs.
        percentile: the one that matters; shown if there are enough queries.
        timeout_s: limit on each step of a contender (start, warm-up, turn).
    """

    batch: int = 1
    concurrency: int = 1
    restarts: int = 5
    rounds: int = 10
    queries_per_round: int = 30
    seconds: float = 120.0
    seed: int = 0
    percentile: float = 99.0
    timeout_s: float = 180.0

    @staticmethod
    def quick(
        *,
        batch: int = 1,
        concurrency: int = 1,
        percentile: float = 99.0,
        seed: int = 0,
        seconds: float = 15.0,
    ) -> ClockPlan:
        """Enough to rank candidates: 2 restarts of 5 turns; p99 stays out."""
        return ClockPlan(
            batch=batch,
            concurrency=concurrency,
            restarts=2,
            rounds=5,
            queries_per_round=15 * concurrency,
            seconds=seconds,
            seed=seed,
            percentile=percentile,
        )

    @staticmethod
    def full(
        *,
        batch: int = 1,
        concurrency: int = 1,
        percentile: float = 99.0,
        seed: int = 0,
        seconds: float = 120.0,
    ) -> ClockPlan:
        """Enough to publish: 5 restarts of 10 turns, and queries to prove the percentile.

        Time allowing, so many that its limit is proved even with five misses; or with one
        where starting takes so long that no more than two restarts fit.
        """
        turns = 50
        at_best = math.ceil(queries_needed(percentile, _MISSES_PLANNED) / turns)
        at_worst = math.ceil(queries_needed(percentile, 1) / (2 * turns // 5))
        queries = max(30, at_best, at_worst)
        return ClockPlan(
            batch=batch,
            concurrency=concurrency,
            restarts=5,
            rounds=turns // 5,
            queries_per_round=queries * concurrency,
            seconds=seconds,
            seed=seed,
            percentile=percentile,
        )

    def checked(self) -> ClockPlan:
        """Return self.

        Raises:
            OptionError: a count below 1, or no time.
        """
        for name in ("batch", "concurrency", "restarts", "rounds", "queries_per_round"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}={getattr(self, name)} times nothing.", "Give 1 or more.")
        if not self.seconds > 0 or not self.timeout_s > 0:
            raise OptionError("A race needs time.", "Give seconds above 0.")
        return self


@dataclass(frozen=True)
class Turn:
    """Latencies of one turn in ms, and the wall time they took together."""

    ms: NDArray[np.float64]
    wall_s: float


Turns = list[list[Turn]]
"""By restart, then by round."""


@dataclass(frozen=True)
class Race:
    """What a race gave.

    Attributes:
        plan: how it was run.
        turns: every latency measured, by contender, restart and round; nothing is dropped.
        latency: their summary, of contenders that finished.
        footprints: size, load time and memory of those.
        failures: why the others didn't.
        unrest: why the machine was not quiet; empty where it was.
        notes: what the reader should know.
    """

    plan: ClockPlan
    turns: dict[str, Turns] = field(repr=False)
    latency: dict[str, Latency]
    footprints: dict[str, Footprint]
    failures: dict[str, WhetError]
    unrest: str = ""
    notes: tuple[Note, ...] = ()

    def tail(self, baseline: str, name: str) -> TailRatio | None:
        """Speed-up at the plan's percentile, or at the highest below it that both support.

        ``None`` where one of them didn't finish or no percentile is supported by both.
        """
        both = baseline, name
        if any(each not in self.latency for each in both):
            return None
        points = [self.latency[each].percentiles for each in both]
        q = shared_percentile(points, self.plan.percentile)
        if any(self.latency[each].at(q) is None for each in both):
            return None
        slow, fast = (_ms(self.turns[each]) for each in both)
        value, low, high = tail_ratio_interval(slow, fast, q, seed=self.plan.seed)
        return TailRatio(q, baseline, value, low, high)

    def ratio(self, baseline: str, name: str) -> Ratio:
        """Speed-up of ``name`` over ``baseline``: above 1 means faster.

        It is noisy where the interval holds 1 and is wider than 12 %; and, where the machine
        was not quiet, restarts of one of them were not alike or a single restart can't show
        whether they are, unless the interval stays 10 % away from 1.

        Raises:
            MeasurementError: one of them didn't finish.
        """
        for each in (baseline, name):
            if each not in self.latency:
                raise MeasurementError(
                    f"'{each}' was not timed to the end.", "Look at the failures of the race."
                )
        if baseline == name:
            return Ratio(baseline, 1.0, 1.0, 1.0, noisy=False)
        value, low, high = median_ratio_interval(
            _medians(self.turns[baseline]), _medians(self.turns[name]), seed=self.plan.seed
        )
        open_question = low < 1 < high and high - low > _WIDE
        unlike = any(uneven(self.latency[each].restart_spread) for each in (baseline, name))
        doubtful = bool(self.unrest) or unlike or len(self.turns[name]) < 2
        near = low < 1 + _STRADDLE and high > 1 - _STRADDLE
        return Ratio(baseline, value, low, high, noisy=open_question or (doubtful and near))


def _medians(turns: Turns) -> list[list[float]]:
    return [[float(np.median(turn.ms)) for turn in restart] for restart in turns]


def _ms(turns: Turns) -> list[list[NDArray[np.float64]]]:
    return [[turn.ms for turn in restart] for restart in turns]


def latency_of(turns: Turns, plan: ClockPlan) -> Latency:
    """The summary of all turns of one contender."""
    restarts = [np.concatenate([turn.ms for turn in restart]) for restart in turns]
    ms = np.concatenate(restarts)
    wall_s = sum(turn.wall_s for restart in turns for turn in restart)
    medians = [float(np.median(restart)) for restart in restarts]
    return Latency(
        batch=plan.batch,
        concurrency=plan.concurrency,
        restarts=len(turns),
        queries=len(ms),
        mean_ms=float(ms.mean()),
        max_ms=float(ms.max()),
        percentiles=percentiles(_ms(turns), (*_SHOWN, plan.percentile)),
        restart_spread=max(medians) / min(medians) - 1,
        throughput_per_s=plan.batch * len(ms) / wall_s,
    )


def restarts_that_fit(planned: int, seconds: float, start_s: float) -> int:
    """Restarts of a race, so that starting takes no more than half of its time.

    At least two where two were planned: one can't show how restarts differ.
    """
    fitting = (count for count in range(planned, 2, -1) if 2 * count * start_s <= seconds)
    return next(fitting, min(planned, 2))


def turn_seconds(left_s: float, restarts_left: int, start_s: float, turns: int) -> float:
    """Seconds for one turn so that the race ends in time; a turn always gets one millisecond.

    Args:
        left_s: time left.
        restarts_left: restarts still to come, this one (whose start is over) included.
        start_s: what starting and warming up took; those to come take as long.
        turns: turns of all contenders in one restart.
    """
    share = (left_s - start_s * (restarts_left - 1)) / restarts_left
    return max(1e-3, share / max(1, turns))

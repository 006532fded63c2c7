"""Means over the certify samples, each asked once and in its order, contenders in turns.

What a cascade takes depends on what it is asked, so a ring of a few samples, as other races have
it, would not tell. All contenders answer the same stretch of samples before any goes on to the
next. The interval of the ratio is that of whole turns (`whet.measure.statistics.ratios`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Means
from whet.data.store import SampleStore
from whet.measure.contender import Contender
from whet.measure.process import ContenderProcess
from whet.measure.statistics import median_ratio_interval

__all__ = ["RESTARTS", "Turned", "in_turns", "means_of"]

RESTARTS = 2
_TURNS = 25  # of a restart
_WARM_S = 1.0

Turned = Mapping[str, Sequence[Sequence[NDArray[np.float64]]]]
"""Latency in ms of each query of a turn, by contender, restart and turn."""


def in_turns(
    contenders: Sequence[Contender],
    part: SampleStore,
    *,
    batch: int,
    queries: int,
    cores: tuple[int, ...],
    memory_bytes: int,
    timeout_s: float,
    seed: int,
) -> Turned:
    """Ask every contender the first ``queries`` queries of a part, in fresh processes each restart.

    Args:
        contenders: with different names.
        part: the samples.
        batch: rows of a query.
        queries: at most as many as the part makes.
        cores: to run on.
        memory_bytes: limit of each process.
        timeout_s: of each step.
        seed: of the order of the contenders within a turn.

    Raises:
        TrialError, EngineError: as a process ended.
    """
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    size = math.ceil(queries / _TURNS)
    found: dict[str, list[list[NDArray[np.float64]]]] = {c.name: [] for c in contenders}
    for _ in range(RESTARTS):
        with ExitStack() as stack:
            running = [
                stack.enter_context(
                    ContenderProcess(
                        contender,
                        part.ref(),
                        batch=batch,
                        memory_bytes=memory_bytes,
                        timeout_s=timeout_s,
                        cores=cores,
                    )
                )
                for contender in contenders
            ]
            for process in running:
                process.warm_up(seconds=_WARM_S)
                found[process.contender.name].append([])
            for first in range(0, queries, size):
                for process in order.sample(running, len(running)):
                    count = min(size, queries - first)
                    timing = process.in_order(part.ref(), first * batch, count)
                    found[process.contender.name][-1].append(timing.ms)
    return found


def means_of(turned: Turned, cascade: str, original: str, single: str, batch: int) -> Means:
    """The means of three of the contenders; the original may be the best single engine; pure."""

    def mean(name: str) -> float:
        return float(np.mean(np.concatenate([ms for restart in turned[name] for ms in restart])))

    rounds = {
        name: [[float(np.mean(ms)) for ms in restart] for restart in turned[name]]
        for name in (single, cascade)
    }
    value, low, high = median_ratio_interval(rounds[single], rounds[cascade])
    gain = mean(single) / mean(cascade)
    return Means(
        queries=sum(len(ms) for ms in turned[cascade][0]),
        batch=batch,
        cascade_ms=mean(cascade),
        original_ms=mean(original),
        single_ms=mean(single),
        single=single,
        gain=gain,
        gain_low=gain * low / value,
        gain_high=gain * high / value,
    )

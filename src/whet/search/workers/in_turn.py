"""Graphs timed in turn in one process, one request of each per round."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step
from whet.core.settings import Settings
from whet.core.spec import Arrays
from whet.errors import EngineError, PassError
from whet.runtimes.base import Session
from whet.search.workers.built import built_graph

__all__ = ["in_turn_ms", "with_passes"]

_ROUNDS = (10, 60)  # at least and at most
_SECONDS = 12.0  # after which no further round is begun
_FEWEST = 3  # rounds where time is short
_CANT_RUN_MS = 1e9
_OPENING = 0.5  # of the time, in which graphs are made and opened


def in_turn_ms(
    graphs: Iterable[tuple[Artifact, Arrays]],
    runtime: str,
    settings: Settings,
    cache: str,
    seconds: float = math.inf,
) -> list[float]:
    """Median ms of each graph, or of as many of the first ones as there is time for.

    Between two requests of one graph all others run, so that its weights come from where they lie
    then, and what the machine does beside falls on all of them.

    Args:
        graphs: each with a request.
        runtime: that runs them.
        settings: of it.
        cache: of compiled engines.
        seconds: that it may take: for half of it graphs are opened, as far as the longest so far
            tells, but for the first in any case.

    Returns:
        A time for each; one that no plan takes for a graph that opens and can't run.

    Raises:
        EngineError: one can't be compiled.
    """
    from whet.runtimes.cache import EngineCache
    from whet.runtimes.registry import get

    engine, kept = get(runtime), EngineCache(Path(cache))
    began = last = time.monotonic()
    longest = 0.0
    with ExitStack() as opened:
        asked: list[tuple[Session, Arrays]] = []
        for graph, request in graphs:
            session, _ = kept.opened(engine, graph, settings)
            opened.enter_context(session)
            asked.append((session, request))
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            if now - began + longest > _OPENING * seconds:
                break
        return _in_turn(asked, seconds - (last - began))


def _runs(session: Session, request: Arrays) -> bool:
    """Whether it answers: kernels may refuse an int8 graph when it runs, and not before."""
    try:
        session.run(request)
    except EngineError:
        return False
    return True


def with_passes(
    graph: Artifact,
    request: Arrays,
    steps: tuple[Step, ...],
    folder: Path,
    *,
    threads: int,
    seed: int,
) -> Artifact:
    """A graph after a candidate's passes; as it is where they have nothing to do in it.

    Args:
        graph: that is only timed: passes that look at samples see one request again and again.
        request: for it.
        steps: of the candidate.
        folder: for what they write.
        threads: that passes may use.
        seed: of what they draw.
    """
    ctx = Context(folder, graph, _Request(request), threads, seed)
    try:
        return built_graph(steps, graph, ctx, folder / "shelf").graph
    except PassError:
        return graph


class _Request:
    """One request as samples for passes that look at some; whatever is asked for, it is given."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def __len__(self) -> int:
        return 1

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:  # noqa: ARG002  # blocks take no other size
        yield self._arrays

    def rows(self, indices: NDArray[np.integer]) -> Arrays:  # noqa: ARG002  # there is one
        return self._arrays


def _in_turn(asked: list[tuple[Session, Arrays]], seconds: float) -> list[float]:
    took: list[list[float]] = [[] for _ in asked]
    running = [
        (session, request, ms)
        for (session, request), ms in zip(asked, took, strict=True)
        if _runs(session, request)
    ]
    least, most = _ROUNDS
    began = time.perf_counter()
    gc.disable()  # a collection would fall on any graph
    for done in range(most):
        gone = time.perf_counter() - began
        if (done >= least and gone > _SECONDS) or (done >= _FEWEST and gone > seconds):
            break
        for session, request, ms in running:
            start = time.perf_counter_ns()
            session.run(request)
            ms.append((time.perf_counter_ns() - start) / 1e6)
    gc.enable()
    return [statistics.median(ms) if ms else _CANT_RUN_MS for ms in took]

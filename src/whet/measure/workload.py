"""What runs inside the clock: inputs made beforehand, queries one after another or at once."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays
from whet.data.store import SampleStore

__all__ = ["build_ring", "closed_loop", "settled", "warm_up"]

_RING_BYTES = 8 << 20
_RING_LENGTH = 128
_WINDOW_QUERIES = 8
_WINDOW_NS = 20_000_000
_TOLERANCE = 0.02

Run = Callable[[Arrays], object]


def build_ring(feed: SampleStore, batch: int) -> list[Arrays]:
    """Batches of different samples that the queries cycle over, built before any clock starts.

    The same store gives the same batches in every process, so that contenders
    see equal work. Few enough (8 MiB) not to weigh on the process's memory.
    """
    rows = len(feed)
    order = np.random.default_rng(0).permutation(rows)
    first = feed.rows(np.resize(order, batch))
    size = max(1, sum(array.nbytes for array in first.values()))
    length = max(1, min(_RING_LENGTH, _RING_BYTES // size, -(-rows // batch)))
    picks = np.resize(order, length * batch).reshape(length, batch)
    return [first, *(feed.rows(pick) for pick in picks[1:])]


def closed_loop(
    run: Run,
    ring: Sequence[Arrays],
    queries: int,
    *,
    concurrency: int,
    seed: int,
    seconds: float | None,
) -> tuple[NDArray[np.float64], float]:
    """Time queries in closed loop; collections of garbage are off meanwhile.

    Args:
        run: answers one batch.
        ring: the batches.
        queries: in all, over all callers.
        concurrency: callers, each a thread that asks again as soon as it is answered.
        seed: of the order of the batches.
        seconds: no query is started after that time, but each caller asks at least once.

    Returns:
        Latency of each query in ms, by caller; and the wall time in seconds.
    """
    order = _order(len(ring), queries, seed)
    callers = min(concurrency, queries)
    shares = [order[caller::callers] for caller in range(callers)]
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        limit = None if seconds is None else int(seconds * 1e9)
        if callers == 1:
            spent, wall = _caller(run, ring, shares[0], limit)
            return spent / 1e6, wall / 1e9
        return _together(run, ring, shares, limit)
    finally:
        if enabled:
            gc.enable()


def _order(length: int, queries: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    laps = [rng.permutation(length) for _ in range(-(-queries // length))]
    return [int(i) for i in np.concatenate(laps)[:queries]]


def _caller(
    run: Run, ring: Sequence[Arrays], order: Sequence[int], limit: int | None
) -> tuple[NDArray[np.int64], int]:
    clock = time.perf_counter_ns
    spent = np.zeros(len(order), np.int64)
    begin = clock()
    end = begin
    for done, which in enumerate(order):
        if limit is not None and done and end - begin >= limit:
            return spent[:done], end - begin
        inputs = ring[which]
        start = clock()
        run(inputs)
        end = clock()
        spent[done] = end - start
    return spent, end - begin


def _together(
    run: Run, ring: Sequence[Arrays], shares: Sequence[Sequence[int]], limit: int | None
) -> tuple[NDArray[np.float64], float]:
    results: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(shares)
    errors: list[BaseException] = []
    start = threading.Barrier(len(shares) + 1)

    def call(caller: int) -> None:
        start.wait()
        try:
            results[caller], _ = _caller(run, ring, shares[caller], limit)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=call, args=(i,), daemon=True) for i in range(len(shares))]
    for thread in threads:
        thread.start()
    start.wait()
    begin = time.perf_counter_ns()
    for thread in threads:
        thread.join()
    wall = time.perf_counter_ns() - begin
    if errors:
        raise errors[0]
    return np.concatenate(results) / 1e6, wall / 1e9


def settled(medians: Sequence[float]) -> bool:
    """Whether the median of the last window is within 2 % of that of the one before."""
    if len(medians) < 2:
        return False
    before, last = medians[-2:]
    return abs(last - before) <= _TOLERANCE * before


def warm_up(
    run: Run, ring: Sequence[Arrays], *, concurrency: int, seconds: float, queries: int
) -> tuple[int, float, bool]:
    """Run windows of queries until two agree, or a limit is reached.

    A window is at least 8 queries and 20 ms.

    Returns:
        Queries run, seconds spent, whether the latency settled.
    """
    medians: list[float] = []
    done, begin = 0, time.perf_counter_ns()
    while True:
        window: list[float] = []
        opened = time.perf_counter_ns()
        while len(window) < _WINDOW_QUERIES or time.perf_counter_ns() - opened < _WINDOW_NS:
            spent, _ = closed_loop(
                run,
                ring,
                _WINDOW_QUERIES * concurrency,
                concurrency=concurrency,
                seed=done,
                seconds=seconds,
            )
            window += [float(x) for x in spent]
            if (time.perf_counter_ns() - begin) / 1e9 >= seconds:
                break
        done += len(window)
        medians.append(statistics.median(window))
        spent_s = (time.perf_counter_ns() - begin) / 1e9
        if settled(medians):
            return done, spent_s, True
        if spent_s >= seconds or done >= queries:
            return done, spent_s, False

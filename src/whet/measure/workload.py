"""What runs inside the clock: inputs made beforehand, queries one after another or at once."""

from __future__ import annotations

import contextlib
import gc
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays
from whet.data.store import SampleStore

__all__ = [
    "Q",
    "build_ring",
    "closed_loop",
    "no_collections",
    "once_through",
    "order_of",
    "settled",
    "warm_up",
]

_RING_BYTES = 8 << 20
_RING_LENGTH = 128
_ORDER_LENGTH = 4096
_WINDOW_QUERIES = 8
_WINDOW_SECONDS = 0.02
_TOLERANCE = 0.02

Q = TypeVar("Q")  # a query: arrays, or what is made into them inside the clock


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
    run: Callable[[Q], object],
    ring: Sequence[Q],
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
    with no_collections():
        return _closed_loop(run, ring, queries, concurrency, seed, seconds)


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """No collection of garbage falls on what is timed meanwhile."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _closed_loop(
    run: Callable[[Q], object],
    ring: Sequence[Q],
    queries: int,
    concurrency: int,
    seed: int,
    seconds: float | None,
) -> tuple[NDArray[np.float64], float]:
    order = order_of(len(ring), queries, seed)
    callers = min(concurrency, queries)
    counts = [len(range(caller, queries, callers)) for caller in range(callers)]
    limit = None if seconds is None else int(seconds * 1e9)
    if callers == 1:
        spent, wall = _caller(run, ring, order, queries, limit)
        return spent / 1e6, wall / 1e9
    shares = [order[caller:] + order[:caller] for caller in range(callers)]
    return _together(run, ring, shares, counts, limit)


def once_through(
    run: Callable[[Q], object], queries: Sequence[Q]
) -> tuple[NDArray[np.float64], float]:
    """Time each query once, in the order given; as `closed_loop` with one caller."""
    with no_collections():
        spent, wall = _caller(run, queries, range(len(queries)), len(queries), None)
    return spent / 1e6, wall / 1e9


def order_of(length: int, queries: int, seed: int) -> list[int]:
    """Which batch each query takes: laps over all of them, each in a random order of its own.

    Long runs repeat the order after some thousands.
    """
    rng = np.random.default_rng(seed)
    laps = -(-min(queries, _ORDER_LENGTH) // length)
    return [int(i) for i in np.concatenate([rng.permutation(length) for _ in range(laps)])]


def _caller(
    run: Callable[[Q], object],
    ring: Sequence[Q],
    order: Sequence[int],
    queries: int,
    limit: int | None,
) -> tuple[NDArray[np.int64], int]:
    clock = time.perf_counter_ns
    spent = np.zeros(queries, np.int64)
    laps = len(order)
    begin = clock()
    end = begin
    for done in range(queries):
        if limit is not None and done and end - begin >= limit:
            return spent[:done], end - begin
        inputs = ring[order[done % laps]]
        start = clock()
        run(inputs)
        end = clock()
        spent[done] = end - start
    return spent, end - begin


def _together(
    run: Callable[[Q], object],
    ring: Sequence[Q],
    shares: Sequence[Sequence[int]],
    counts: Sequence[int],
    limit: int | None,
) -> tuple[NDArray[np.float64], float]:
    results: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(shares)
    errors: list[BaseException] = []
    start = threading.Barrier(len(shares) + 1)

    def call(caller: int) -> None:
        start.wait()
        try:
            results[caller], _ = _caller(run, ring, shares[caller], counts[caller], limit)
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
    run: Callable[[Q], object], ring: Sequence[Q], *, concurrency: int, seconds: float, queries: int
) -> tuple[int, float, bool]:
    """Run windows of queries until two agree, or a limit is reached.

    A window is at least 8 queries and 20 ms.

    Returns:
        Queries run, seconds spent, whether the latency settled.
    """
    with no_collections():
        return _warm_up(run, ring, concurrency, seconds, queries)


def _warm_up(
    run: Callable[[Q], object], ring: Sequence[Q], concurrency: int, seconds: float, queries: int
) -> tuple[int, float, bool]:
    medians: list[float] = []
    done, begin = 0, time.perf_counter()
    at_once = _WINDOW_QUERIES * concurrency
    while True:
        window: list[float] = []
        opened = time.perf_counter()
        while len(window) < _WINDOW_QUERIES or time.perf_counter() - opened < _WINDOW_SECONDS:
            left = seconds - (time.perf_counter() - begin)
            spent, _ = _closed_loop(run, ring, at_once, concurrency, done, max(left, 0.0))
            window += [float(x) for x in spent]
            if left <= 0:
                break
        done += len(window)
        medians.append(statistics.median(window))
        spent_s = time.perf_counter() - begin
        if settled(medians):
            return done, spent_s, True
        if spent_s >= seconds or done >= queries:
            return done, spent_s, False

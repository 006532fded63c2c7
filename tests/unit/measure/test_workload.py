from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest

from whet.core.spec import Arrays
from whet.data.store import SampleStore
from whet.measure.workload import build_ring, closed_loop, settled, warm_up

RING: list[Arrays] = [{"x": np.full((1, 1), i, np.float32)} for i in range(5)]


def test_ring_has_different_rows_and_the_same_in_every_process(store: SampleStore) -> None:
    ring = build_ring(store, 4)
    again = build_ring(store, 4)
    assert len(ring) == 10  # 37 rows, 4 at a time
    assert all(batch["x"].shape == (4, 8) for batch in ring)
    assert all(np.array_equal(a["x"], b["x"]) for a, b in zip(ring, again, strict=True))
    rows = np.unique(np.concatenate([batch["x"] for batch in ring]), axis=0)
    assert len(rows) == 37


def test_ring_repeats_rows_when_there_are_too_few(store: SampleStore) -> None:
    (batch,) = build_ring(store, 64)
    assert batch["x"].shape == (64, 8)


def test_closed_loop_times_every_query_and_cycles_evenly() -> None:
    seen: list[float] = []
    ms, wall = closed_loop(
        lambda inputs: seen.append(float(inputs["x"][0, 0])),
        RING,
        12,
        concurrency=1,
        seed=3,
        seconds=None,
    )
    assert len(ms) == 12
    assert wall * 1e3 >= ms.sum()
    assert sorted(seen[:5]) == sorted(seen[5:10]) == [0, 1, 2, 3, 4]
    before = list(seen)
    seen.clear()
    closed_loop(
        lambda inputs: seen.append(float(inputs["x"][0, 0])),
        RING,
        12,
        concurrency=1,
        seed=3,
        seconds=None,
    )
    assert seen == before


def test_closed_loop_keeps_collections_out_and_puts_them_back() -> None:
    states = []
    closed_loop(
        lambda _: states.append(gc.isenabled()), RING, 3, concurrency=1, seed=0, seconds=None
    )
    assert states == [False] * 3
    assert gc.isenabled()


def test_closed_loop_stops_in_time_but_asks_once() -> None:
    ms, _ = closed_loop(lambda _: time.sleep(0.02), RING, 1000, concurrency=1, seed=0, seconds=0.05)
    assert 1 <= len(ms) <= 4
    ms, _ = closed_loop(lambda _: time.sleep(0.02), RING, 1000, concurrency=1, seed=0, seconds=1e-9)
    assert len(ms) == 1


def test_concurrent_callers_overlap() -> None:
    inside, most, lock = [0], [0], threading.Lock()

    def run(_: Arrays) -> None:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.01)
        with lock:
            inside[0] -= 1

    ms, wall = closed_loop(run, RING, 12, concurrency=3, seed=0, seconds=None)
    assert len(ms) == 12
    assert most[0] == 3
    assert wall < ms.sum() / 1e3


def test_an_error_of_a_caller_comes_out() -> None:
    def run(_: Arrays) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        closed_loop(run, RING, 4, concurrency=2, seed=0, seconds=None)
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("medians", "is_settled"),
    [
        ([], False),
        ([1.0], False),
        ([2.0, 1.0], False),
        ([5.0, 1.0, 1.019], True),
        ([1.0, 0.97], False),
    ],
)
def test_the_rule_of_two_percent(medians: list[float], is_settled: bool) -> None:
    assert settled(medians) is is_settled


def test_warm_up_ends_at_its_limit() -> None:
    pause = [0.0]

    def slower_and_slower(_: Arrays) -> None:
        pause[0] += 0.0005
        time.sleep(pause[0])

    queries, seconds, calm = warm_up(
        slower_and_slower, RING, concurrency=1, seconds=0.3, queries=10_000
    )
    assert not calm
    assert queries >= 8
    assert seconds < 2
    _, _, calm = warm_up(slower_and_slower, RING, concurrency=1, seconds=9.0, queries=1)
    assert not calm

"""The shell around the scheduler: rows come back to their callers, and each request ends once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import numpy as np
import pytest

from whet.core.spec import Arrays
from whet.errors import BusyError, EngineError, LateError, ServeError
from whet.serve.dataplane import Terms
from whet.serve.engine import Answered, Engine
from whet.serve.scheduler.rules import Choice
from whet.serve.scheduler.scheduler import Scheduler
from whet.serve.scheduler.times import Times

PLAIN = Terms(1, None)


class Doubles:
    """Twice each row; refuses rows that hold 13; may be held back."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go = threading.Event()
        self.go.set()

    def run(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
        assert self.go.wait(10)
        x = inputs["x"]
        self.batches.append(len(x))
        if (x == 13).any():
            raise EngineError("13 breaks it.", "Don't.")
        return {"y": 2 * x}


def engine(model: Doubles, *, most: int = 8, workers: int = 1, timeout_s: float = 5.0) -> Engine:
    times = Times({n: 0.001 * n for n in (1, 2, 4, 8)})
    scheduler = Scheduler([Choice("only", times, most)], workers=workers)
    return Engine(scheduler, [model], workers=workers, default_timeout_s=timeout_s)


async def ask(own: Engine, *values: int, terms: Terms = PLAIN, kind: str = "") -> Answered:
    x = np.array(values, np.float32)[:, None]
    return await own.infer({"x": x}, len(x), terms, arrived_s=time.monotonic(), kind=kind)


def running(what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(what(), 20))


def test_each_caller_gets_its_own_rows() -> None:
    model = Doubles()

    async def go() -> None:
        own = engine(model)
        random = np.random.default_rng(0)
        asked = [random.integers(20, 1000, random.integers(1, 5)).tolist() for _ in range(300)]
        found = await asyncio.gather(*(ask(own, *values) for values in asked))
        for values, answered in zip(asked, found, strict=True):
            np.testing.assert_array_equal(answered.outputs["y"][:, 0], 2 * np.array(values))
            assert answered.variant == "only"
        assert await own.close(1)

    running(go)
    assert max(model.batches) > 4
    assert max(model.batches) <= 8


def test_one_bad_request_fails_alone() -> None:
    model = Doubles()

    async def go() -> None:
        own = engine(model)
        model.go.clear()
        first = asyncio.create_task(ask(own, 1))  # keeps the worker, so that the others gather
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(ask(own, v)) for v in (2, 13, 4, 5)]
        await asyncio.sleep(0.02)
        model.go.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        assert isinstance(found[2], ServeError)
        assert "13" not in found[2].message  # nothing of the inside
        good = [f for f in found if isinstance(f, Answered)]
        assert [float(g.outputs["y"][0, 0]) for g in good] == [2, 4, 8, 10]
        assert await own.close(1)

    running(go)
    assert model.batches == [1, 4, 1, 1, 1, 1]


def test_kinds_are_never_merged() -> None:
    model = Doubles()

    async def go() -> None:
        own = engine(model)
        await asyncio.gather(*(ask(own, k, kind="ab"[k % 2]) for k in range(20, 60)))

    running(go)
    assert max(model.batches) <= 8


def test_a_client_that_leaves_costs_nothing_that_had_not_begun() -> None:
    model = Doubles()

    async def go() -> None:
        own = engine(model)
        model.go.clear()
        first = asyncio.create_task(ask(own, 1))
        await asyncio.sleep(0.02)
        second, third = (asyncio.create_task(ask(own, v)) for v in (2, 3))
        await asyncio.sleep(0.02)
        second.cancel()
        first.cancel()
        await asyncio.sleep(0.02)
        model.go.set()
        assert float((await third).outputs["y"][0, 0]) == 6
        assert await own.close(1)

    running(go)
    assert model.batches == [1, 1]


def test_what_can_not_be_in_time_is_refused_and_what_runs_out_of_it_is_told() -> None:
    model = Doubles()

    async def go() -> None:
        own = engine(model)
        with pytest.raises(BusyError) as busy:
            await ask(own, 1, terms=Terms(1, 0.0001))
        assert 0 < busy.value.retry_after_s < 1
        model.go.clear()
        first = asyncio.create_task(ask(own, 1))
        await asyncio.sleep(0.02)
        began = time.monotonic()
        with pytest.raises(LateError):
            await ask(own, 2, terms=Terms(1, 0.05))
        assert time.monotonic() - began < 0.5  # while the worker still hangs
        model.go.set()
        await first

    running(go)


def test_closing_waits_for_what_is_there_and_takes_nothing_more() -> None:
    model = Doubles()

    async def go() -> None:
        own = engine(model)
        model.go.clear()
        first = asyncio.create_task(ask(own, 1))
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(own.close(5))
        await asyncio.sleep(0.02)
        with pytest.raises(BusyError):
            await ask(own, 2)
        model.go.set()
        assert await closing
        assert float((await first).outputs["y"][0, 0]) == 2

    running(go)


def test_closing_does_not_wait_for_ever() -> None:
    model = Doubles()

    async def go() -> None:
        own = engine(model)
        model.go.clear()
        first = asyncio.create_task(ask(own, 1))
        await asyncio.sleep(0.02)
        assert not await own.close(0.05)
        with pytest.raises(BusyError):
            await first
        model.go.set()

    running(go)


def test_an_output_without_rows_is_nobodys() -> None:
    class Sums(Doubles):
        def run(self, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
            super().run(inputs)
            return {"y": inputs["x"].sum(keepdims=True)[0]}

    model = Sums()

    async def go() -> None:
        own = engine(model)
        model.go.clear()
        first = asyncio.create_task(ask(own, 1))
        await asyncio.sleep(0.02)
        others = [asyncio.create_task(ask(own, v)) for v in (2, 3)]
        await asyncio.sleep(0.02)
        model.go.set()
        found = await asyncio.gather(first, *others)
        assert [float(each.outputs["y"][0]) for each in found] == [1, 2, 3]  # each run by itself

    running(go)

"""Asks a service, by a schedule or as fast as it answers; the shell around a clock."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from whet.errors import BusyError, LateError, RequestError, ServeError, UnreachableError
from whet.measure.load.arrivals import Seconds
from whet.measure.load.outcome import ANSWERED, Asked
from whet.measure.workload import no_collections

__all__ = ["Ask", "by_schedule", "in_turns", "run"]

Ask = Callable[[int], Awaitable[str]]
"""Sends the request of a number; the variant that answered it."""

T = TypeVar("T")
_ENDINGS: dict[type[ServeError], str] = {
    BusyError: "refused",
    LateError: "late",
    RequestError: "invalid",
    UnreachableError: "unreachable",
}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on an event loop whose timers are exact.

    The usual ones wake up by whole milliseconds, which is more than a fast model takes. `select`
    waits to the microsecond.
    """

    def loop() -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)


async def by_schedule(ask: Ask, due: Seconds) -> list[Asked]:
    """Send each request when it is due, whatever became of those before it.

    Args:
        ask: sends one.
        due: seconds from the beginning, in order.
    """
    found: list[Asked] = []
    tasks: set[asyncio.Task[None]] = set()
    faults: list[BaseException] = []

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            faults.append(fault)

    with no_collections():  # one would delay all that is due meanwhile
        began_s = time.perf_counter()
        for number, due_s in enumerate(due.tolist()):
            wait_s = began_s + due_s - time.perf_counter()
            if wait_s > 0 or number % 64 == 0:  # answers are to be seen even when we are behind
                await asyncio.sleep(max(0.0, wait_s))
            task = asyncio.ensure_future(_one(ask, number, due_s, began_s, found))
            tasks.add(task)
            task.add_done_callback(ended)
        while tasks:
            await asyncio.wait(tasks)
    if faults:
        raise faults[0]
    return found


async def in_turns(ask: Ask, clients: int, seconds: float) -> tuple[list[Asked], float]:
    """Some clients, each of which asks again as soon as it is answered.

    Returns:
        The requests, each due when it was sent, and the seconds until the last ended.
    """
    found: list[Asked] = []
    numbers = iter(range(1 << 62))
    with no_collections():
        began_s = time.perf_counter()

        async def client() -> None:
            while (now_s := time.perf_counter() - began_s) < seconds:
                await _one(ask, next(numbers), now_s, began_s, found)

        await asyncio.gather(*(client() for _ in range(clients)))
        return found, time.perf_counter() - began_s


async def _one(ask: Ask, number: int, due_s: float, began_s: float, found: list[Asked]) -> None:
    sent_s = time.perf_counter() - began_s
    variant = ""
    ending = "failed"  # also where something else is raised, which the load ends with
    try:
        variant = await ask(number)
        ending = ANSWERED
    except ServeError as error:
        ending = _ENDINGS.get(type(error), ending)
    finally:
        found.append(Asked(due_s, sent_s, time.perf_counter() - began_s, ending, variant))

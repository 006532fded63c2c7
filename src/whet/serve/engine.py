"""The asyncio shell around a model's scheduler: the only place where serving looks at the clock.

Requests come in on the event loop, batches run on threads, and what a batch took goes back to the
scheduler. Each request ends once: with its rows of an answer, with an error, or withdrawn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays
from whet.errors import BusyError, LateError, ServeError, WhetError, WorkerLostError
from whet.serve.batches import joined, parted
from whet.serve.dataplane import Terms
from whet.serve.logs import EVENTS
from whet.serve.scheduler.scheduler import Batch, Scheduler
from whet.serve.scheduler.waiting import Waiting

__all__ = ["Answered", "Engine", "Runs"]


class Runs(Protocol):
    """An opened variant; may be asked from several threads at once."""

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays: ...


@dataclass(frozen=True)
class Answered:
    """What a request got.

    Attributes:
        outputs: its own rows.
        variant: that answered.
        waited_s: from its arrival until its batch began.
        ran_s: of the batch.
        together: rows of the batch.
    """

    outputs: Arrays
    variant: str
    waited_s: float
    ran_s: float
    together: int


@dataclass
class _Open:
    """A request that has no end yet."""

    waiting: Waiting
    arrays: Arrays
    end: asyncio.Future[Answered]
    alone: bool = False


class Engine:
    """Answers the requests of one model.

    Args:
        scheduler: that decides; nobody else asks it.
        variants: opened, in the order of the scheduler's choices.
        workers: threads that run batches.
        default_timeout_s: of requests that name none; infinite for no deadline.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        variants: Sequence[Runs],
        *,
        workers: int = 1,
        default_timeout_s: float = float("inf"),
    ) -> None:
        self._scheduler = scheduler
        self._variants = tuple(variants)
        self._default_timeout_s = default_timeout_s
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="whet-run")
        self._open: dict[int, _Open] = {}
        self._began: dict[int, float] = {}
        self._count = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def longest_s(self) -> float:
        """How long the batch that began first has been running; 0 where none is."""
        return time.monotonic() - min(self._began.values()) if self._began else 0.0

    @property
    def waiting_rows(self) -> int:
        """Rows of all that waits now."""
        return self._scheduler.waiting_rows

    async def infer(
        self, arrays: Arrays, rows: int, terms: Terms, *, arrived_s: float, kind: Hashable = ()
    ) -> Answered:
        """Answer a request.

        Args:
            arrays: checked against the signature.
            rows: of them.
            terms: how it wants to be treated.
            arrived_s: when it came, by `time.monotonic`.
            kind: requests of different kinds never share a batch.

        Raises:
            BusyError: it would come too late, or there is no room.
            LateError: its time ran out.
            WhetError: the engine failed on it.
        """
        if self._closed:
            raise BusyError("The server is stopping.", "Ask another one.")
        timeout_s = terms.timeout_s if terms.timeout_s is not None else self._default_timeout_s
        self._count += 1
        shapes = tuple((name, a.shape[1:], a.dtype.char) for name, a in sorted(arrays.items()))
        waiting = Waiting(
            arrived_s, self._count, rows, (shapes, kind), arrived_s, arrived_s + timeout_s
        )
        refusal = self._scheduler.admit(waiting, terms.level, time.monotonic())
        if refusal is not None:
            raise _refused(refusal.full, refusal.retry_after_s)
        end: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._open[waiting.number] = _Open(waiting, arrays, end)
        self._go_on()
        try:
            return await end
        except asyncio.CancelledError:
            # What waits is forgotten; what runs ends by itself, and nobody hears of it.
            if self._scheduler.withdraw(waiting.number):
                del self._open[waiting.number]
            raise

    async def close(self, within_s: float) -> bool:
        """Take nothing more, and wait for what is there; false where that took too long."""
        self._closed = True
        ends = [each.end for each in self._open.values()]
        done = not ends or not (await asyncio.wait(ends, timeout=within_s))[1]
        for each in self._open.values():
            if not each.end.done():
                each.end.set_exception(BusyError("The server has stopped.", "Ask another one."))
        if self._alarm is not None:
            self._alarm.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        return done

    def _go_on(self) -> None:
        """Do what the scheduler says for now, and come back when it says."""
        loop = asyncio.get_running_loop()
        step = self._scheduler.step(time.monotonic())
        for waiting in step.late:
            self._fail(waiting, LateError("There was no time left to answer.", "Allow more."))
        for batch in step.run:
            parts = [self._open[request.number].arrays for request in batch.requests]
            began_s = self._began[batch.number] = time.monotonic()
            future = self._threads.submit(self._ran, batch, parts)
            future.add_done_callback(
                lambda f, b=batch, s=began_s: loop.call_soon_threadsafe(  # type: ignore[misc]
                    self._ended, b, s, f.exception() or f.result()
                )
            )
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if step.wake_s is not None:
            delay_s = max(0.0, step.wake_s - time.monotonic())
            self._alarm = loop.call_later(delay_s, self._go_on)

    def _ran(self, batch: Batch, parts: list[Arrays]) -> tuple[list[Arrays], float]:
        """On a thread: the answers of each request, and how long the engine took."""
        inputs = joined(parts, batch.rows, batch.filled)
        began_s = time.monotonic()
        outputs = self._variants[batch.choice].run(inputs)
        took_s = time.monotonic() - began_s
        return parted(outputs, [request.rows for request in batch.requests], batch.filled), took_s

    def _ended(
        self, batch: Batch, began_s: float, found: BaseException | tuple[list[Arrays], float]
    ) -> None:
        """On the event loop: a batch has ended in one way or another."""
        del self._began[batch.number]
        if isinstance(found, BaseException):
            self._scheduler.done(batch, None)
            self._failed(batch, found)
        else:
            answers, took_s = found
            self._scheduler.done(batch, took_s)
            name = self._scheduler.choices[batch.choice].name
            for request, outputs in zip(batch.requests, answers, strict=True):
                waited_s = began_s - request.arrived_s
                self._end(request, Answered(outputs, name, waited_s, took_s, batch.rows))
        self._go_on()

    def _failed(self, batch: Batch, error: BaseException) -> None:
        """Each member of a batch that failed runs once more by itself, so that only the bad one fails.

        One that was alone in it runs once more where what worked at it was lost.
        """
        EVENTS.error("a batch failed", exc_info=error, extra={"rows": batch.rows})
        once_more = len(batch.requests) > 1 or isinstance(error, WorkerLostError)
        for request in batch.requests:
            own = self._open[request.number]
            if once_more and not own.alone and not own.end.done():
                own.alone = True
                self._scheduler.again(request)
            else:
                self._fail(request, error)

    def _fail(self, request: Waiting, error: BaseException) -> None:
        known = error if isinstance(error, WhetError) else None
        own = self._open.pop(request.number)
        if not own.end.done():
            own.end.set_exception(
                known if isinstance(known, ServeError) else ServeError("The engine failed.")
            )

    def _end(self, request: Waiting, answered: Answered) -> None:
        own = self._open.pop(request.number)
        if not own.end.done():
            own.end.set_result(answered)


def _refused(full: bool, retry_after_s: float) -> BusyError:
    said = "There is no room for more." if full else "It would be answered too late."
    return BusyError(said, "Ask again later, or allow more time.", retry_after_s=retry_after_s)

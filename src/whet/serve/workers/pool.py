"""Several workers of one bundle: who is idle is asked, who is lost is replaced.

Workers take batches from one queue, the scheduler's, so the next one goes to whoever is idle first:
no worker waits while another has two. Those that are idle are asked once a second whether they live.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import LayerTime
from whet.core.spec import Arrays, Signature
from whet.errors import WhetError, WorkerLostError
from whet.serve.logs import EVENTS
from whet.serve.workers.area import rows_of
from whet.serve.workers.worker import Spec, Worker

__all__ = ["Pool", "WorkerSession", "cores_of_each"]

_LOOK_S = 1.0
_PONG_S = 2.0  # a process that was stopped gets no answer out
_HANGS_LEAST_S = 2.0
_HANGS_TIMES = 20  # what the slowest row took so far, for each row, and a worker counts as hung
_NEXT_S = 30.0  # to wait for a worker, when all are lost
_AGAIN_S = 0.5  # before a worker is started again that couldn't be


def cores_of_each(cores: tuple[int, ...], workers: int) -> list[tuple[int, ...]]:
    """The cores of each worker: equal shares, or all of them where there are more workers."""
    if workers > len(cores):
        return [cores] * workers
    bounds = [k * len(cores) // workers for k in range(workers + 1)]
    return [cores[a:b] for a, b in itertools.pairwise(bounds)]


@dataclass(eq=False)
class _Place:
    """Where a worker works, or the next one will.

    Attributes:
        cores: of it.
        worker: that is there; ``None`` while there is none.
        busy: held by who asks it.
        lost: set when it is gone.
        up: set when the first is there, or couldn't be started.
        error: why it couldn't.
    """

    cores: tuple[int, ...]
    worker: Worker | None = None
    busy: threading.Lock = field(default_factory=threading.Lock)
    lost: threading.Event = field(default_factory=threading.Event)
    up: threading.Event = field(default_factory=threading.Event)
    error: WhetError | None = None


@final
class Pool:
    """Workers of one bundle.

    Each has a thread that starts it, looks after it and starts another when it is lost. (It has to
    be the same thread: the kernel ends a worker with the thread that started it.)

    Args:
        spec: what each opens.
        cores: of each.

    Attributes:
        lost: workers that died or hung so far.

    Raises:
        WhetError: one couldn't be started.
    """

    def __init__(self, spec: Spec, cores: list[tuple[int, ...]]) -> None:
        self._spec = spec
        self._places = [_Place(own) for own in cores]
        self._idle: queue.SimpleQueue[tuple[_Place, Worker]] = queue.SimpleQueue()
        self._closed = False
        self._heard_s = time.monotonic()
        self.lost = 0
        self._threads = [
            threading.Thread(target=self._tend, args=(place,), daemon=True, name="whet-keeper")
            for place in self._places
        ]
        for thread in self._threads:
            thread.start()
        for place in self._places:
            place.up.wait()
        error = next((place.error for place in self._places if place.error is not None), None)
        if error is not None:
            self.close()
            raise error

    @property
    def heard_s(self) -> float:
        """Seconds since a worker answered."""
        return time.monotonic() - self._heard_s

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes that are there."""
        workers = [place.worker for place in self._places]
        return tuple(worker.pid for worker in workers if worker is not None)

    def run(self, variant: int, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """Have an idle worker run a variant, by its place.

        Raises:
            WorkerLostError: it died or hangs, or there is none.
            EngineError: the engine failed.
        """
        while True:
            try:
                place, worker = self._idle.get(timeout=_NEXT_S)
            except queue.Empty:
                raise WorkerLostError("Nothing works at it any more.", "Ask later.") from None
            with place.busy:
                if worker is not place.worker:  # it was lost while it was idle
                    continue
                within_s = max(_HANGS_LEAST_S, _HANGS_TIMES * worker.row_s * rows_of(inputs))
                try:
                    found = worker.ask(variant, inputs, within_s)
                except WorkerLostError:
                    self._gone(place, worker)
                    raise
                except BaseException:
                    self._back(place, worker)
                    raise
                self._back(place, worker)
                return found

    def close(self) -> None:
        """End all workers."""
        self._closed = True
        for place in self._places:
            worker = place.worker
            if worker is not None:
                worker.kill()
            place.lost.set()
        for thread in self._threads:
            thread.join(_PONG_S)

    def _back(self, place: _Place, worker: Worker) -> None:
        self._heard_s = time.monotonic()
        self._idle.put((place, worker))

    def _gone(self, place: _Place, worker: Worker) -> None:
        place.worker = None
        if not self._closed:
            self.lost += 1
            EVENTS.error("a worker was lost", extra={"pid": worker.pid})
        place.lost.set()

    def _tend(self, place: _Place) -> None:
        """Have a worker at a place until all end."""
        while not self._closed:
            try:
                place.worker = worker = Worker(self._spec, place.cores)
            except WhetError as error:
                if not place.up.is_set():  # nobody was there before: whoever asked for it is told
                    place.error = error
                    place.up.set()
                    return
                EVENTS.error("a worker couldn't be started", extra={"reason": str(error)})
                time.sleep(_AGAIN_S)
                continue
            if place.up.is_set():
                EVENTS.info("a worker took its place", extra={"pid": worker.pid})
            self._back(place, worker)
            place.up.set()
            while not place.lost.wait(_LOOK_S):
                self._look(place)
            place.lost.clear()
        left, place.worker = place.worker, None
        if left is not None:
            left.kill()

    def _look(self, place: _Place) -> None:
        """Ask a worker whether it lives, if nobody else asks it anything."""
        if not place.busy.acquire(blocking=False):
            return
        try:
            worker = place.worker
            if worker is None:
                return
            if worker.answers(_PONG_S):
                self._heard_s = time.monotonic()
            else:
                self._gone(place, worker)
        finally:
            place.busy.release()


@final
class WorkerSession:
    """A variant that workers have open, as an engine's session.

    Args:
        pool: of the workers.
        variant: its place.
        signature: of the model.
    """

    def __init__(self, pool: Pool, variant: int, signature: Signature) -> None:
        self.signature = signature
        self._pool = pool
        self._variant = variant

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """Answer one request."""
        return self._pool.run(self._variant, inputs)

    def layers(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[LayerTime, ...]:
        """Nothing: they are looked at in one process."""
        del inputs
        return ()

    def close(self) -> None:
        """Nothing: the pool is closed as a whole."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

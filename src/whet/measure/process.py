"""A contender in a process of its own, with limits on time and memory.

The parent watches: while it waits for a reply it looks five times a second or more at the clock
and at the resident memory of the process and all its children, and kills the
whole process group when a limit is passed. A limit on data segments inside the
process, twice as high, stands behind it for allocations too sudden to be seen.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Footprint, LayerTime
from whet.core.note import Note
from whet.core.room import written
from whet.core.scratch import scratch_folder
from whet.core.spec import Arrays
from whet.core.units import seconds_words
from whet.data.layout import StoreRef
from whet.errors import (
    EngineError,
    TrialCrashedError,
    TrialError,
    TrialMemoryError,
    TrialTimeoutError,
)
from whet.measure.contender import Contender, disk_bytes
from whet.measure.mishaps import crash_error, reported_error
from whet.measure.protocol import (
    Answer,
    Answered,
    Command,
    Failed,
    Incoming,
    InOrder,
    Layered,
    Layers,
    Leaving,
    Left,
    Measure,
    Memory,
    Open,
    Opened,
    Outputs,
    Reply,
    Size,
    Timed,
    Warm,
    WarmUp,
    Written,
)
from whet.measure.spawn import end, last_lines, resident_bytes, start, wait_unreaped
from whet.runtimes.cache import renew

__all__ = ["ContenderProcess", "Timing"]

_TICK_S = 0.1
_QUIT_S = 2.0
_WARM_SECONDS = 10.0
_WARM_QUERIES = 2000

R = TypeVar("R")


@dataclass(frozen=True)
class Timing:
    """Latencies in ms, one per query, and the wall time that they took together."""

    ms: NDArray[np.float64]
    wall_s: float


@final
class ContenderProcess:
    """A fresh process that has one contender open; a context manager.

    Args:
        contender: what it runs.
        feed: samples that the timed queries cycle over.
        batch: rows per query.
        concurrency: callers at once.
        memory_bytes: limit on resident memory of the process and its children.
        timeout_s: limit on each command.
        cores: that it may run on; ``None`` leaves what this process may use.
        while_waiting: called several times a second while a reply is awaited; what it raises
            ends the process.

    Every verb raises `TrialCrashedError`, `TrialTimeoutError` or
    `TrialMemoryError` when the process ended, and the error that the runtime raised there
    when it refused. After any of the first three it is gone. Entering raises `StorageError`
    where its temporary files can't be made.

    Attributes:
        started_ns: `time.perf_counter_ns` just before it was started.
        load_ms: from the engine's files to an open session.
        compile_ms: spent on compiling before, where there was no engine.
    """

    def __init__(
        self,
        contender: Contender,
        feed: StoreRef,
        *,
        batch: int,
        concurrency: int = 1,
        memory_bytes: int | None = None,
        timeout_s: float = 120.0,
        cores: tuple[int, ...] | None = None,
        while_waiting: Callable[[], None] | None = None,
    ) -> None:
        self.contender = contender
        self.load_ms = 0.0
        self.compile_ms = 0.0
        self.started_ns = 0
        self._feed, self._batch, self._concurrency = feed, batch, concurrency
        self._memory_bytes, self._timeout_s, self._cores = memory_bytes, timeout_s, cores
        self._while_waiting = while_waiting
        self._process: subprocess.Popen[bytes] | None = None
        self._incoming = Incoming()
        self._scratch = ExitStack()  # what must go when the process has gone
        self._stderr: IO[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            folder = self._start()
            opened = self._ask(
                Open(
                    contender=self.contender,
                    feed=self._feed,
                    batch=self._batch,
                    concurrency=self._concurrency,
                    scratch=folder,
                    cores=self._cores,
                    data_limit_bytes=self._memory_bytes and 2 * self._memory_bytes + (1 << 30),
                ),
                Opened,
            )
        except BaseException:
            self.close()
            raise
        self.load_ms, self.compile_ms = opened.load_ms, opened.compile_ms
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the running process.

        Raises:
            TrialCrashedError: it isn't running.
        """
        return self._running().pid

    def close(self) -> None:
        """End the process and all that it started; allowed twice."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()  # it ends by itself when this closes
            wait_unreaped(process, _QUIT_S)
            end(process)
            if process.stdout is not None:
                process.stdout.close()
        self._scratch.close()

    def warm_up(self, seconds: float = _WARM_SECONDS, queries: int = _WARM_QUERIES) -> Warm:
        """Run until the median latency of two windows agrees within 2 %, or a limit is reached."""
        return self._ask(WarmUp(seconds, queries), Warm)

    def timed(self, queries: int, seed: int, seconds: float | None = None) -> Timing:
        """Time ``queries`` in closed loop, or as many as ``seconds`` allow (at least one)."""
        reply, arrays = self._exchange(Measure(queries, seed, seconds), Timed, self._timeout_s)
        return Timing(arrays["ms"].astype(np.float64, copy=False), reply.wall_s)

    def in_order(self, ref: StoreRef, first: int, queries: int) -> Timing:
        """Time the queries that the rows of a store from ``first`` on make, each once."""
        command = InOrder(ref, first, queries)
        reply, arrays = self._exchange(command, Timed, self._timeout_s)
        return Timing(arrays["ms"].astype(np.float64, copy=False), reply.wall_s)

    def left(self) -> tuple[int, ...]:
        """Rows that left at each stage of a cascade since it was opened."""
        return self._ask(Leaving(), Left).rows

    def measure(self, queries: int, seed: int) -> NDArray[np.float64]:
        """Latency of each of ``queries`` in ms."""
        return self.timed(queries, seed).ms

    def first_answer(self) -> Arrays:
        """Outputs for the first batch."""
        return self._exchange(Answer(), Answered, self._timeout_s)[1]

    def outputs(
        self, ref: StoreRef, where: Path, batch: int, *, timeout_s: float | None = None
    ) -> Path:
        """Answer every row of a store; see `whet.measure.answers`. Returns the folder."""
        command = Outputs(ref, str(where.resolve()), batch)
        self._exchange(command, Written, timeout_s or self._timeout_s)
        return where

    def footprint(self) -> Footprint:
        """Size on disk, load time, and memory now and at its peak."""
        size = self._ask(Size(), Memory)
        note = Note("peak memory", "It includes compiling, which happened in the same process.")
        return Footprint(
            disk_bytes=disk_bytes(self.contender),
            load_ms=self.load_ms,
            resident_bytes=size.resident_bytes,
            peak_bytes=size.peak_bytes,
            notes=(note,) if self.compile_ms else (),
        )

    def layers(self) -> tuple[LayerTime, ...]:
        """Time by layer; empty where the runtime can't tell."""
        return self._ask(Layers(), Layered).layers

    def _start(self) -> str:
        """Start the process; returns a folder that goes with it."""
        early = self.contender.stages.early if self.contender.stages is not None else ()
        for each in (self.contender, *(e.contender for e in early)):
            if each.engine is not None:
                renew(Path(each.engine))  # one that is gone is reported by the process
        scratch = self._scratch
        with written(f"The process of '{self.contender.name}' can't be started"):
            folder = scratch.enter_context(scratch_folder())
            self._stderr = scratch.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        self._incoming = Incoming()
        self.started_ns = time.perf_counter_ns()
        self._process = start(self.contender, folder, self._stderr)
        return str(folder)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise TrialCrashedError(
                f"The process of '{self.contender.name}' is not running.", "Start it again."
            )
        return self._process

    def _ask(self, command: Command, answer: type[R]) -> R:
        return self._exchange(command, answer, self._timeout_s)[0]

    def _exchange(self, command: Command, answer: type[R], timeout_s: float) -> tuple[R, Arrays]:
        process = self._running()
        try:
            reply, arrays = self._talk(process, command, timeout_s)
        except TrialError:
            end(process)  # at once: it may be growing still
            self.close()
            raise
        if isinstance(reply, Failed):
            raise reported_error(self.contender.name, reply, self._memory_bytes)
        if not isinstance(reply, answer):
            raise EngineError(
                f"The process of '{self.contender.name}' answered {type(reply).__name__}.",
                "Report this with the network, if you can share it.",
            )
        return reply, arrays

    def _talk(
        self, process: subprocess.Popen[bytes], command: Command, timeout_s: float
    ) -> tuple[Reply, Arrays]:
        if process.stdin is None or process.stdout is None:
            raise TrialCrashedError("The process has no pipes.", "Start it again.")
        try:
            process.stdin.write(msgspec.json.encode(command) + b"\n")
        except OSError as error:
            raise self._crash(process) from error
        deadline = time.monotonic() + timeout_s
        watch, pipe = select.poll(), process.stdout.fileno()
        watch.register(pipe, select.POLLIN)
        while True:
            if watch.poll(_TICK_S * 1000):
                data = os.read(pipe, 1 << 20)
                if not data:
                    raise self._crash(process)
                complete = self._incoming.add(data)
                if complete is not None:
                    return complete
            self._check_limits(process, deadline, timeout_s)
            if self._while_waiting is not None:
                self._while_waiting()

    def _check_limits(
        self, process: subprocess.Popen[bytes], deadline: float, timeout_s: float
    ) -> None:
        name = self.contender.name
        if time.monotonic() > deadline:
            raise TrialTimeoutError(
                f"'{name}' passed its time limit of {seconds_words(timeout_s)}.",
                "Raise the limit, or leave this candidate out.",
            )
        if self._memory_bytes is not None:
            used = resident_bytes(process.pid)
            if used > self._memory_bytes:
                raise TrialMemoryError(
                    f"'{name}' passed its memory limit of {self._memory_bytes / 1e6:.0f} MB:"
                    f" it held {used / 1e6:.0f} MB.",
                    "Raise the limit, or leave this candidate out.",
                )

    def _crash(self, process: subprocess.Popen[bytes]) -> TrialError:
        """What to say of a process that went away."""
        wait_unreaped(process, _QUIT_S)
        code = end(process)
        lines = last_lines(self._stderr) if self._stderr is not None else []
        return crash_error(self.contender.name, code, lines)

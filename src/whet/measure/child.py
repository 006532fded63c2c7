"""The process that runs one contender: ``python -m whet.measure.child PARENT_PID``.

It knows nothing of the race. It reads a command from standard input, does it, writes the reply to
what was standard output when it started, and reads the next. Whatever
else writes to standard output (engines do) lands in standard error, which the
parent keeps. Only numpy, msgspec and the contender's runtime are imported.

It never outlives its parent: the kernel ends it (Linux), and the end of standard input does,
even in the middle of a command.
"""

from __future__ import annotations

import gc
import os
import queue
import resource
import sys
import threading
import time
from pathlib import Path
from typing import final

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.children import die_with
from whet.core.spec import Arrays
from whet.data.store import SampleStore, open_ref
from whet.errors import EngineError
from whet.measure.answers import write_outputs
from whet.measure.contender import Contender
from whet.measure.mishaps import told_of
from whet.measure.protocol import (
    Answer,
    Answered,
    Command,
    InOrder,
    Layered,
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
    encode_reply,
    frames_of,
)
from whet.measure.workload import build_ring, closed_loop, once_through, warm_up
from whet.runtimes.base import Session
from whet.runtimes.cascade import CascadeSession
from whet.runtimes.registry import get

__all__ = ["main"]

_LEAD_IN_QUERIES = 3
_LEAD_IN_SECONDS = 0.02


@final
class _Bench:
    """The opened contender and the inputs it is asked with."""

    def __init__(self, session: Session, feed: SampleStore, opening: Open) -> None:
        self.session = session
        self.concurrency = opening.concurrency
        self.batch = opening.batch
        self.ring = build_ring(feed, opening.batch)

    def timed(self, command: Measure) -> tuple[NDArray[np.float64], float]:
        self._lead_in()
        return closed_loop(
            self.session.run,
            self.ring,
            command.queries,
            concurrency=self.concurrency,
            seed=command.seed,
            seconds=command.seconds,
        )

    def in_order(self, command: InOrder) -> tuple[NDArray[np.float64], float]:
        feed = open_ref(command.feed)
        starts = range(command.first, command.first + command.queries * self.batch, self.batch)
        asked = [feed.rows(np.arange(start, start + self.batch)) for start in starts]
        self._lead_in()
        return once_through(self.session.run, asked)

    def left(self) -> tuple[int, ...]:
        return self.session.left if isinstance(self.session, CascadeSession) else ()

    def _lead_in(self) -> None:
        # Others ran since this contender's last turn: a few queries outside the clock
        # bring its weights back into the caches, as they are in steady service.
        begin = time.perf_counter()
        for done, inputs in enumerate(self.ring):
            if done >= _LEAD_IN_QUERIES and time.perf_counter() - begin > _LEAD_IN_SECONDS:
                break
            self.session.run(inputs)

    def warm_up(self, seconds: float, queries: int) -> tuple[int, float, bool]:
        return warm_up(
            self.session.run,
            self.ring,
            concurrency=self.concurrency,
            seconds=seconds,
            queries=queries,
        )

    def outputs(self, command: Outputs) -> tuple[str, ...]:
        leading = {spec.shape[0] for spec in self.session.signature.inputs if spec.shape}
        fixed = next((size for size in leading if isinstance(size, int)), None)
        return write_outputs(
            self.session.run,
            open_ref(command.feed),
            Path(command.where),
            fixed or command.batch,
            fixed=fixed is not None,
        )


def _open(command: Open) -> tuple[_Bench, Opened]:
    if command.cores is not None:
        os.sched_setaffinity(0, command.cores)
    if command.data_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (command.data_limit_bytes,) * 2)
    contender = command.contender
    runtime = get(contender.runtime)
    begin = time.perf_counter()
    if contender.engine is None:
        engine = runtime.compile(contender.graph, contender.settings, Path(command.scratch))
    else:
        engine = Path(contender.engine)
    compiled = time.perf_counter()
    session = _staged(contender, runtime.open(engine, contender.graph, contender.settings))
    opened = time.perf_counter()
    feed = open_ref(command.feed)
    if len(feed) == 0:
        raise EngineError("There are no samples to run.", "Give at least one.")
    bench = _Bench(session, feed, command)
    # What lives now lives until the end: collections need not look at it again.
    gc.collect()
    gc.freeze()
    spent = 0.0 if contender.engine is not None else (compiled - begin) * 1e3
    return bench, Opened((opened - compiled) * 1e3, spent)


def _staged(contender: Contender, last: Session) -> Session:
    """The session, behind the early stages of a cascade where there are any."""
    if contender.stages is None:
        return last
    sessions: list[Session] = []
    for stage in contender.stages.early:
        each = stage.contender
        if each.engine is None:
            raise EngineError(f"The stage '{each.name}' has no engine.", "Compile it first.")
        opened = get(each.runtime).open(Path(each.engine), each.graph, each.settings)
        sessions.append(opened)
    gates = [stage.gate for stage in contender.stages.early]
    rule = contender.stages.confidence
    return CascadeSession([*sessions, last], gates, rule, contender.graph.signature)


@final
class _Serving:
    """Nothing at first, and one open contender after the first command."""

    def __init__(self) -> None:
        self._bench: _Bench | None = None

    def do(self, command: Command) -> tuple[Reply, Arrays]:
        if isinstance(command, Open):
            if self._bench is not None:
                raise EngineError("A contender is open already.", "Start another process.")
            self._bench, opened = _open(command)
            return opened, {}
        if self._bench is None:
            raise EngineError("Nothing is open.", "Open a contender first.")
        return _do(self._bench, command)


def _do(bench: _Bench, command: Command) -> tuple[Reply, Arrays]:
    arrays: Arrays
    match command:
        case WarmUp(seconds=seconds, queries=queries):
            return Warm(*bench.warm_up(seconds, queries)), {}
        case Measure():
            ms, wall_s = bench.timed(command)
            arrays = {"ms": ms}
            return Timed(wall_s, frames_of(arrays)), arrays
        case InOrder():
            ms, wall_s = bench.in_order(command)
            arrays = {"ms": ms}
            return Timed(wall_s, frames_of(arrays)), arrays
        case Leaving():
            return Left(bench.left()), {}
        case Outputs():
            return Written(bench.outputs(command)), {}
        case Answer():
            arrays = bench.session.run(bench.ring[0])
            return Answered(frames_of(arrays)), arrays
        case Size():
            return memory(), {}
        case _:
            return Layered(bench.session.layers(bench.ring[0])), {}


def memory() -> Memory:
    """Resident memory of this process, now and at its peak."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        now, peak = (int(fields[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
        return Memory(now, peak)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Memory(peak, peak)


def _listen(commands: queue.SimpleQueue[bytes]) -> None:
    """Queue the lines of standard input; end the process at once when it closes."""
    rest = b""
    while data := os.read(0, 1 << 16):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            commands.put(line)
    os._exit(0)


def _send(pipe: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(pipe, view) :]


def main() -> None:
    """Serve commands until standard input closes."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    die_with(int(sys.argv[1]))
    commands: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands,), daemon=True).start()
    serving = _Serving()
    while True:
        reply: Reply
        arrays: Arrays = {}
        try:
            reply, arrays = serving.do(msgspec.json.decode(commands.get(), type=Command))
        except Exception as error:  # noqa: BLE001 - whatever happens is told to the parent
            reply = told_of(error)
        _send(pipe, encode_reply(reply, arrays))


if __name__ == "__main__":
    main()

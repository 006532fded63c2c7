"""Run one of our functions in a fresh process with limits on time and memory.

    run_isolated(target, argument, result, ...)
      └─ python -m whet.search.workers.worker      own session, own process group
           ├─ guardian                     kills the group when we die
           └─ whatever the function starts

The parent polls ten times a second: has it ended, is it late, is the resident
memory of the whole session over the limit, was it cancelled, does it flood its
log. However it ends, everything that belongs to it is killed and its scratch
folder removed. Memory is the sum of resident sets, an upper bound where
processes share pages.

Messages travel as JSON of closed structs in files; nothing is pickled.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

import whet
from whet.core.lesson import Lesson
from whet.core.places import inductor_home
from whet.core.room import temporary, written
from whet.core.scratch import scratch_folder
from whet.core.units import seconds_words
from whet.errors import (
    StorageError,
    TrialCrashedError,
    TrialMemoryError,
    TrialTimeoutError,
)
from whet.search.events import Stopped
from whet.search.workers import lessons
from whet.search.workers.failures import NO_ROOM, ending, revived
from whet.search.workers.log import WorkerLog
from whet.search.workers.process_tree import ProcessTree
from whet.search.workers.worker import Job, Reply

__all__ = ["IsolatedResult", "run_isolated"]

T = TypeVar("T")

_TICK_S = 0.1
_MAX_REPLY_BYTES = 64 << 20
# How long a worker may take to end by itself once its reply is there.
_GRACE_S = 2.0
_WORKER = ("-P", "-m", "whet.search.workers.worker")


@dataclass(frozen=True)
class IsolatedResult(Generic[T]):
    """What came back.

    Attributes:
        value: the function's result.
        seconds: wall-clock time, start of the process included.
        peak_bytes: peak resident memory of the process and all it started.
        log: the last of what they printed.
    """

    value: T
    seconds: float
    peak_bytes: int
    log: str


def run_isolated(
    target: str,
    argument: msgspec.Struct,
    result: type[T],
    *,
    timeout_s: float,
    memory_bytes: int | None,
    cores: tuple[int, ...] | None = None,
    env: Mapping[str, str] | None = None,
    cancel: threading.Event | None = None,
    heard: Callable[[Lesson], None] | None = None,
    worker: tuple[str, ...] = _WORKER,
) -> IsolatedResult[T]:
    """Call ``target(argument)`` in a fresh process and wait for it.

    Temporary files of the process go to a scratch folder that is removed; what
    shall stay must be written elsewhere.

    Args:
        target: ``"whet.module:function"``; it takes one struct, by its type hint.
        argument: sent as JSON.
        result: type of what the function returns.
        timeout_s: wall-clock limit.
        memory_bytes: limit on resident memory of the process and all it
            starts; ``None`` = no limit.
        cores: the cores it may use; ``None`` = those of this process.
        env: variables beside those of this process.
        cancel: checked at every poll; setting it kills the process.
        heard: told how far the function has come, where it takes a ``tell`` beside its struct.
        worker: how the interpreter starts the worker; for tests of the worker.

    Raises:
        WhetError: whatever the function raised, with its own type.
        TrialCrashedError: a signal, a foreign exception, or no answer.
        TrialMemoryError: over the memory limit.
        TrialTimeoutError: over the time limit.
        Stopped: cancelled.
        StorageError: the scratch folder can't be written.
    """
    with written(f"The worker for '{target}' can't be started"), scratch_folder() as scratch:
        run = _Run(target, scratch, timeout_s, memory_bytes, cancel, heard)
        run.carry_out(argument, cores, dict(env or {}), worker)
        return run.conclude(result)


class _Run:
    """One worker from start to end."""

    def __init__(
        self,
        target: str,
        scratch: Path,
        timeout_s: float,
        memory_bytes: int | None,
        cancel: threading.Event | None,
        heard: Callable[[Lesson], None] | None,
    ) -> None:
        self.target = target
        self.scratch = scratch
        self.timeout_s = timeout_s
        self.memory_bytes = memory_bytes
        self.cancel = cancel
        self.heard = heard
        self.reply_file = scratch / "reply.json"
        self.lesson_file = scratch / "lesson.json"
        self.lesson: Lesson | None = None
        self.log = WorkerLog(scratch / "log.txt")
        self.peak_bytes = 0
        self.seconds = 0.0
        self.status = 0

    def carry_out(
        self,
        argument: msgspec.Struct,
        cores: tuple[int, ...] | None,
        env: dict[str, str],
        worker: tuple[str, ...],
    ) -> None:
        """Start the worker, watch it, and leave nothing of it behind."""
        job = Job(
            self.target,
            msgspec.Raw(msgspec.json.encode(argument)),
            str(self.reply_file),
            cores,
            str(self.lesson_file),
        )
        job_file = self.scratch / "job.json"
        job_file.write_bytes(msgspec.json.encode(job))
        inside = self.scratch / "tmp"
        inside.mkdir()
        began = time.monotonic()
        read_end, write_end = os.pipe()
        try:
            with self.log.file.open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, *worker, str(job_file), str(read_end), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=_environment(env, inside),
                    pass_fds=(read_end,),
                    start_new_session=True,
                )
            os.close(read_end)
            read_end = -1
            tree = ProcessTree(process.pid)
            try:
                self._watch(process, tree, began)
            finally:
                tree.kill()
                self.status = process.wait()
                self.seconds = time.monotonic() - began
        finally:
            os.close(write_end)
            if read_end >= 0:
                os.close(read_end)

    def conclude(self, result: type[T]) -> IsolatedResult[T]:
        """Read the reply of a worker that has ended."""
        if self.status == NO_ROOM and not self.reply_file.exists():
            raise StorageError(
                f"The disk of '{temporary()}' is full: a worker's answer can't be written.",
                "Free some space there, or set TMPDIR to another folder.",
            )
        if not self.reply_file.exists():
            raise self.log.told(
                TrialCrashedError(
                    f"'{self.target}' {ending(self.status)} without an answer{self.log.last_words()}",
                    "Its log says more; try again, or leave this candidate out.",
                )
            )
        if self.reply_file.stat().st_size > _MAX_REPLY_BYTES:
            raise TrialCrashedError(f"'{self.target}' gave too large an answer.", "")
        try:
            reply = msgspec.json.decode(self.reply_file.read_bytes(), type=Reply)
            if reply.failure is not None:
                raise self.log.told(revived(self.target, reply.failure))
            value = msgspec.json.decode(reply.value, type=result)
        except msgspec.DecodeError as error:
            raise self.log.told(
                TrialCrashedError(
                    f"'{self.target}' gave an answer of another type: {error}.",
                    "Its log says more.",
                )
            ) from error
        peak = max(self.peak_bytes, reply.peak_bytes)
        return IsolatedResult(value, self.seconds, peak, self.log.tail())

    def _watch(self, process: subprocess.Popen[bytes], tree: ProcessTree, began: float) -> None:
        """Wait for the end; raise when a limit is passed."""
        answered_at: float | None = None
        while True:
            try:
                process.wait(_TICK_S)
            except subprocess.TimeoutExpired:
                pass
            else:
                self._listen()
                return
            self._listen()
            now = time.monotonic()
            used = tree.resident_bytes()
            self.peak_bytes = max(self.peak_bytes, used)
            if self.reply_file.exists():
                answered_at = answered_at or now
                if now - answered_at > _GRACE_S:
                    return
                continue
            if self.memory_bytes is not None and used > self.memory_bytes:
                raise self.log.told(
                    TrialMemoryError(
                        f"'{self.target}' took {used / 1e6:.0f} MB of memory;"
                        f" {self.memory_bytes / 1e6:.0f} MB were allowed.",
                        "Allow more memory, or leave this candidate out.",
                    )
                )
            if now - began > self.timeout_s:
                raise self.log.told(
                    TrialTimeoutError(
                        f"'{self.target}' was not done after {seconds_words(self.timeout_s)}.",
                        "Allow more time, or leave this candidate out.",
                    )
                )
            if self.cancel is not None and self.cancel.is_set():
                raise Stopped
            self.log.trim()

    def _listen(self) -> None:
        """Pass on how far the worker has come, if it says something new."""
        said = lessons.read(self.lesson_file) if self.heard is not None else None
        if said is not None and said != self.lesson and self.heard is not None:
            self.lesson = said
            self.heard(said)


def _environment(env: dict[str, str], inside: Path) -> dict[str, str]:
    """This process's variables, ours, and the caller's, the last winning.

    The worker must find this very package, wherever it was imported from, and
    its temporary files must go away with it; the compiler's cache must not, or
    every job would compile anew.
    """
    merged = dict(os.environ)
    root = str(Path(whet.__file__).resolve().parent.parent)
    if root != sysconfig.get_path("purelib"):
        merged["PYTHONPATH"] = os.pathsep.join(
            filter(None, [root, os.environ.get("PYTHONPATH", "")])
        )
    merged["TORCHINDUCTOR_CACHE_DIR"] = inductor_home()
    merged["TMPDIR"] = str(inside)
    return merged | env

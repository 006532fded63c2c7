"""The child's side of `whet.search.workers.isolate`: one function of ours in a fresh process.

    python -P -m whet.search.workers.worker JOB.json LIFELINE PARENT

Before anything heavy is imported, the worker makes sure that it can't outlive
its parent: a tiny guardian is forked that waits for the lifeline (a pipe whose
other end only the parent holds) to close, and then kills the whole process
group and removes its scratch folder; and the kernel is asked to kill the worker when its parent dies, should
the guardian be gone. Then the job is read, the function called, and the reply
written beside and renamed, so that a reply is either whole or not there.

The job is our own file in a private folder, yet it is held to the one package
whose functions may run.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import os
import re
import shutil
import signal
import sys
import traceback
import typing
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import msgspec
import psutil

from whet.core.room import is_full
from whet.errors import OptionError
from whet.search.workers.failures import NO_ROOM, Failure, failure_of
from whet.search.workers.lessons import Written

__all__ = ["Job", "Reply", "main", "resolve"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TELL = "tell"  # a further argument of functions that say how far they have come
_TARGET = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z]\w*)", re.ASCII)


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to run: ``module:function``, its argument, on which cores, where to say how far it is."""

    target: str
    argument: msgspec.Raw
    reply: str
    cores: tuple[int, ...] | None = None
    lesson: str | None = None


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result as JSON or the failure, and the worker's peak resident memory."""

    value: msgspec.Raw
    failure: Failure | None
    peak_bytes: int


def resolve(target: str, packages: tuple[str, ...]) -> Callable[..., object]:
    """Turn ``module:function`` into the function, within the given packages only.

    Raises:
        OptionError: another package, a name that isn't there or is private, or
            no function that was defined in that module.
    """
    match = _TARGET.fullmatch(target)
    if match is None or match[1].partition(".")[0] not in packages:
        raise OptionError(
            f"'{target[:200]}' can't run in a worker.", f"Name a function of {packages[0]}."
        )
    found = getattr(importlib.import_module(match[1]), match[2], None)
    if not isinstance(found, FunctionType) or found.__module__ != match[1]:
        raise OptionError(f"'{target}' is no function defined there.", "Check the name.")
    return found


def main(arguments: list[str], packages: tuple[str, ...] = ("whet",)) -> None:
    """Run the job that the command line names; never returns."""
    file, lifeline, parent = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    guardian = _tie_to_parent(lifeline, parent, file.parent)
    faulthandler.enable()  # a crash in native code leaves its Python stack in the log
    job = msgspec.json.decode(file.read_bytes(), type=Job)
    if job.cores is not None and sys.platform == "linux":
        os.sched_setaffinity(0, job.cores)
    try:
        reply = Reply(_call(job, packages), None, _peak_bytes())
    except Exception as error:  # noqa: BLE001 - every failure travels to the parent
        traceback.print_exc()
        reply = Reply(msgspec.Raw(b"null"), failure_of(error), _peak_bytes())
    status = _answer(reply, job.reply)
    _end_children(guardian)
    # The reply is out: the teardown of native libraries may neither hang nor crash any more.
    os._exit(status)


def _answer(reply: Reply, where: str) -> int:
    """Write the reply; returns the status to end with."""
    partial = Path(where + ".partial")
    try:
        partial.write_bytes(msgspec.json.encode(reply))
        partial.replace(where)
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        # Its log may have no room either, so the status must tell.
        return NO_ROOM if is_full(error) else 1
    return 0


def _call(job: Job, packages: tuple[str, ...]) -> msgspec.Raw:
    function = resolve(job.target, packages)
    hints = typing.get_type_hints(function)
    takes = [kind for name, kind in hints.items() if name not in {"return", _TELL}]
    if len(takes) != 1:
        raise OptionError(
            f"'{job.target}' doesn't take exactly one typed argument.", "Give it one struct."
        )
    argument = msgspec.json.decode(job.argument, type=takes[0])
    tells = {_TELL: Written(Path(job.lesson))} if job.lesson and _TELL in hints else {}
    return msgspec.Raw(msgspec.json.encode(function(argument, **tells)))


def _end_children(guardian: int) -> None:
    """Kill what the function left running: even in another session it is ours, as subreaper."""
    for child in psutil.Process().children(recursive=True):
        if child.pid != guardian:
            try:
                child.kill()
            except psutil.Error:
                continue  # it ended by itself


def _tie_to_parent(lifeline: int, parent: int, scratch: Path) -> int:
    """Fork the guardian and ask the kernel; returns the guardian's process id."""
    guardian = os.fork()
    if guardian == 0:
        _guard(lifeline, os.getpgrp(), scratch)
    os.close(lifeline)
    if sys.platform == "linux":
        kernel = ctypes.CDLL(None)
        # "Parent" is the thread that started us; it waits in run_isolated for as long as we live.
        kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # Orphans of the job become ours instead of init's, so they stay in the tree that is killed.
        kernel.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        # If memory runs out all the same, the kernel shall take the worker and not the search.
        try:
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        except OSError as error:
            sys.stderr.write(f"oom_score_adj can't be set: {error}\n")
    if os.getppid() != parent:
        os.killpg(0, signal.SIGKILL)  # it died before the kernel was asked
    return guardian


def _guard(lifeline: int, group: int, scratch: Path) -> None:
    """In the forked guardian: wait for the parent's end, then end and clear everything."""
    # A group of its own, to outlive the kill; still of the session, which keeps its id taken.
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(lifeline, 1):  # nothing is ever written; an empty read means the end
        continue
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        sys.stderr.write("the worker was gone already\n")
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def _peak_bytes() -> int:
    """Peak resident memory of this program; not ``ru_maxrss``, which exec inherits."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return 0
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(match[1]) * 1024 if match else 0


if __name__ == "__main__":
    main(sys.argv[1:])

# ruff: noqa: T201 - what they print is part of the test
"""Functions that misbehave, to be run in worker processes."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np

from whet.errors import (
    ContractError,
    EngineError,
    Issue,
    PostconditionError,
    UnsupportedOperatorError,
)

SLEEPER = [sys.executable, "-c", "import time; time.sleep(300)"]


class Ask(msgspec.Struct, frozen=True):
    what: str = ""
    number: float = 0.0


class Answer(msgspec.Struct, frozen=True):
    what: str
    number: float


def echo(ask: Ask) -> Answer:
    print("hello from the worker")
    return Answer(ask.what, ask.number)


def environment(ask: Ask) -> Answer:
    return Answer(os.environ.get(ask.what, ""), float(len(os.sched_getaffinity(0))))


def litter(ask: Ask) -> Answer:
    import tempfile

    folder = tempfile.mkdtemp()
    return Answer(folder, 0.0)


def raise_foreign(ask: Ask) -> Answer:
    raise ValueError("the cat\x1b[31m sat on it")


def raise_ours(ask: Ask) -> Answer:
    raise UnsupportedOperatorError("No 'Foo' here.", "Use 'Bar'.")


def raise_contract(ask: Ask) -> Answer:
    raise ContractError((Issue("batch", "0 rows.", "Give 1."), Issue("metric", "?", "!")))


def raise_subclass(ask: Ask) -> Answer:
    class LocalError(PostconditionError):
        pass

    raise LocalError("It broke.", "Mend it.")


def raise_memory(ask: Ask) -> Answer:
    raise MemoryError("no more")


def leave(ask: Ask) -> Answer:
    print("leaving")
    sys.exit(3)


def leave_now(ask: Ask) -> Answer:
    os._exit(0)


def crash(ask: Ask) -> Answer:
    ctypes.string_at(0)
    raise EngineError("unreachable")


def hang(ask: Ask) -> Answer:
    time.sleep(300)
    return Answer("", 0.0)


def hang_in_c(ask: Ask) -> Answer:
    """Holds the GIL, so no thread of the worker could help."""
    ctypes.PyDLL(None).sleep(300)
    return Answer("", 0.0)


def hog(ask: Ask) -> Answer:
    kept = []
    for _ in range(200):
        kept.append(np.ones(4 << 20, np.uint8))
        time.sleep(0.01)
    time.sleep(300)
    return Answer("", float(len(kept)))


def hog_in_a_child(ask: Ask) -> Answer:
    code = "import time; a = b'x' * (400 << 20); time.sleep(300)"
    subprocess.run([sys.executable, "-c", code], check=False)
    return Answer("", 0.0)


def spam(ask: Ask) -> Answer:
    line = "spam and eggs " * 600 + "\n"
    for _ in range(int(ask.number)):
        sys.stdout.write(line)
    print("the last line")
    return Answer("", 0.0)


def spam_and_hang(ask: Ask) -> Answer:
    """Writes more than the log may hold, then waits to be looked at."""
    spam(ask)
    sys.stdout.flush()
    time.sleep(float(ask.what))
    return Answer("", 0.0)


def family(ask: Ask) -> Answer:
    """Starts a child, a child in a session of its own, and an orphan; writes their ids; waits."""
    child = subprocess.Popen(SLEEPER)
    stray = subprocess.Popen(SLEEPER, start_new_session=True)
    spawn = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c',"
        " 'import time; time.sleep(300)'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,"
        " start_new_session=True).pid)"
    )
    orphan = subprocess.run(
        [sys.executable, "-c", spawn], capture_output=True, text=True, check=True
    )
    ids = f"{os.getpid()} {child.pid} {stray.pid} {int(orphan.stdout)}"
    partial = Path(ask.what + ".partial")
    partial.write_text(ids)
    partial.rename(ask.what)
    time.sleep(ask.number)
    return Answer(ids, 0.0)


def stubborn_threads(ask: Ask) -> Answer:
    """A thread that would keep the interpreter from ending."""
    threading.Thread(target=time.sleep, args=(300,)).start()
    return Answer("done", 1.0)


def not_finite(ask: Ask) -> Answer:
    return Answer("", float("nan"))


def two(ask: Ask, other: Ask) -> Answer:
    return Answer("", 0.0)


def _private(ask: Ask) -> Answer:
    return Answer("", 0.0)

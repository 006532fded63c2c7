"""Starting, watching and ending the process that measures: the parts that know the system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from whet.core.children import import_path
from whet.core.places import inductor_home
from whet.measure.contender import Contender

__all__ = ["end", "last_lines", "resident_bytes", "start", "wait_unreaped"]

_TORCH = frozenset({"torch", "inductor"})
_STDERR_BYTES = 4000
_STDERR_LINES = 3
_STEP_S = 0.005


def start(contender: Contender, scratch: Path, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start ``python -m whet.measure.child`` in a process group of its own.

    Args:
        contender: that it is for.
        scratch: where its temporary files go; the caller removes it.
        stderr: gets all that it says.
    """
    # -P: a file in the current folder must not stand in for a package.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "whet.measure.child", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=_environment(contender, scratch),
        start_new_session=True,
        bufsize=0,
    )


def _environment(contender: Contender, scratch: Path) -> dict[str, str]:
    """The parent's, with the thread pools that read it pinned down."""
    env = {
        **os.environ,
        "PYTHONPATH": import_path(),
        "OMP_NUM_THREADS": str(contender.settings.threads),
        # numpy only carries arrays here; its own pool would only take memory.
        "OPENBLAS_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TORCHINDUCTOR_CACHE_DIR": inductor_home(),
        # It ends without tidying up, and engines unpack themselves into temporary files.
        "TMPDIR": str(scratch),
    }
    if contender.runtime in _TORCH:
        # libgomp's spinning barriers cost a factor where the cores are shared.
        env["OMP_WAIT_POLICY"] = "PASSIVE"
    return env


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all its descendants; 0 when it is gone."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += member.memory_info().rss
    return total


def wait_unreaped(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until the process has ended, but leave it to `end` to collect it.

    Until then its number can't be given to another process, so its group can be killed safely.
    """
    if not sys.platform.startswith("linux"):
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return
    deadline = time.monotonic() + seconds
    options = os.WEXITED | os.WNOWAIT | os.WNOHANG
    with suppress(ChildProcessError):
        while os.waitid(os.P_PID, process.pid, options) is None:
            if time.monotonic() > deadline:
                return
            time.sleep(_STEP_S)


def end(process: subprocess.Popen[bytes]) -> int:
    """Kill the process and all of its group, collect it, and return its exit code."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def last_lines(stderr: IO[bytes]) -> list[str]:
    """The last lines that say anything."""
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - _STDERR_BYTES))
    text = stderr.read().decode(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()][-_STDERR_LINES:]

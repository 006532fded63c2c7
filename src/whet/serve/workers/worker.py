"""One worker process, from the server's side: started, asked, and killed when it doesn't answer."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import final

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.children import import_path
from whet.core.spec import Arrays
from whet.errors import HostError, ServeError, WorkerLostError
from whet.measure.mishaps import reported_error
from whet.measure.protocol import Failed
from whet.serve.workers.area import Area, rows_of
from whet.serve.workers.child import MOST_BYTES
from whet.serve.workers.messages import (
    Answered,
    Ask,
    Command,
    Open,
    Opened,
    Ping,
    Pong,
    Reply,
)

__all__ = ["Spec", "Worker"]

_END_S = 2.0


@dataclass(frozen=True)
class Spec:
    """What a worker opens.

    Attributes:
        bundle: its folder.
        digest: of the bundle; another one that lies there by then is refused.
        variants: of it, in the order in which they are asked by their places.
        trust_code: allow variants whose files run native code.
        start_s: within which it has to be open.
    """

    bundle: Path
    digest: str
    variants: tuple[str, ...]
    trust_code: bool = False
    start_s: float = 120.0


@final
class Worker:
    """A process that has a bundle's variants open; one question at a time.

    Args:
        spec: what it opens.
        cores: that it may use.

    Attributes:
        row_s: what a row of the slowest answer took so far.

    Raises:
        HostError: this system has no such processes.
        WhetError: it couldn't open the bundle.
        WorkerLostError: it died, or took too long.
    """

    def __init__(self, spec: Spec, cores: tuple[int, ...]) -> None:
        if not sys.platform.startswith("linux"):
            raise HostError("Worker processes need Linux.", "Serve without them.")
        self._ending = threading.Lock()
        self.row_s = 0.0
        try:
            self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs, ExitStack() as unless_started:
                unless_started.callback(self._link.close)
                self._area = Area.make()
                unless_started.callback(self._area.close)
                self._process = _started(theirs, self._area, cores)
                unless_started.pop_all()
        except OSError as error:
            raise HostError(
                f"A worker process can't be started: {error}.", "Give the server more room."
            ) from error
        asked = Open(str(spec.bundle), spec.digest, spec.variants, cores, spec.trust_code)
        try:
            opened = self._told(asked, spec.start_s)
        except BaseException:
            self.kill()
            raise
        self.row_s = opened.row_s if isinstance(opened, Opened) else 0.0

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(
        self, variant: int, inputs: Mapping[str, NDArray[np.generic]], within_s: float
    ) -> Arrays:
        """Run a variant.

        Args:
            variant: its place.
            inputs: checked against the signature.
            within_s: after which it counts as hung.

        Raises:
            WorkerLostError: it died, or it hangs; it is gone then.
            EngineError: the engine failed.
        """
        tensors, free = self._area.write(inputs)
        began_s = time.monotonic()
        reply = self._told(Ask(variant, tensors, free), within_s)
        if not isinstance(reply, Answered):
            raise self._lost("said something else")
        self.row_s = max(self.row_s, (time.monotonic() - began_s) / rows_of(inputs))
        # Copies, for the memory holds the next answer soon.
        return {name: array.copy() for name, array in self._area.read(reply.tensors).items()}

    def answers(self, within_s: float) -> bool:
        """Whether it lives; if not it is gone."""
        try:
            return isinstance(self._told(Ping(), within_s), Pong)
        except ServeError:
            return False

    def kill(self) -> None:
        """End it, now."""
        with self._ending:
            if self._process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
        self._link.close()
        self._area.close()

    def _told(self, command: Command, within_s: float) -> Reply:
        try:
            self._link.send(msgspec.json.encode(command))
            ready, _, _ = select.select([self._link], [], [], within_s)
            raw = self._link.recv(MOST_BYTES) if ready else None
        except (OSError, ValueError):  # the other end is gone, or ours was closed meanwhile
            raw = b""
        if raw is None:
            raise self._lost("didn't answer in time")
        if not raw:
            raise self._lost("died")
        reply: Reply = msgspec.json.decode(raw, type=Reply)
        if isinstance(reply, Failed):
            raise reported_error("worker", reply, None)
        return reply

    def _lost(self, how: str) -> WorkerLostError:
        self.kill()
        return WorkerLostError(f"What worked at it {how}.", "Ask again.")


def _started(theirs: socket.socket, area: Area, cores: tuple[int, ...]) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        "PYTHONPATH": import_path(),
        "OMP_NUM_THREADS": str(len(cores)),
        "OPENBLAS_NUM_THREADS": "1",
    }
    ends = (theirs.fileno(), area.descriptor)
    # -P: a file in the current folder must not stand in for a package.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "whet.serve.workers.child", str(os.getpid()), *map(str, ends)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=env,
        pass_fds=ends,
        start_new_session=True,
    )

"""A worker process: ``python -m whet.serve.workers.child PARENT_PID SOCKET MEMORY``.

It opens variants of a bundle, answers what it is asked, and never outlives its parent.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from typing import final

import msgspec

from whet.bundle.golden import load_goldens
from whet.bundle.read import read_bundle
from whet.core.children import die_with
from whet.core.spec import Arrays
from whet.errors import EngineError
from whet.measure.mishaps import told_of
from whet.serve.loaded import Loaded, load_from
from whet.serve.workers.area import Area, rows_of
from whet.serve.workers.messages import Answered, Ask, Command, Open, Opened, Pong, Reply

__all__ = ["MOST_BYTES", "main"]

MOST_BYTES = 1 << 18
"""Of a message."""


@final
class _Engines:
    """The variants that are open, and the memory that questions lie in."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._loaded: list[Loaded] = []
        self._opened = ExitStack()

    def do(self, command: Command) -> Reply:
        if isinstance(command, Open):
            return self._open(command)
        if isinstance(command, Ask):
            return self._answer(command)
        return Pong()

    def _open(self, command: Open) -> Opened:
        os.sched_setaffinity(0, command.cores)
        bundle = read_bundle(command.bundle, expect_digest=command.digest)
        self._loaded = [
            self._opened.enter_context(
                load_from(
                    bundle, name, trust_code=command.trust_code, most_threads=len(command.cores)
                )
            )
            for name in command.variants
        ]
        goldens = load_goldens(bundle, bundle.manifest.variants[0].name)
        row_s = max(_row_s(loaded, goldens.inputs) for loaded in self._loaded) if goldens else 0.0
        gc.collect()
        gc.freeze()
        return Opened(row_s)

    def _answer(self, command: Ask) -> Answered:
        if not 0 <= command.variant < len(self._loaded):
            raise EngineError("There is no such variant.")
        inputs = self._area.read(command.tensors)
        outputs = self._loaded[command.variant].run(inputs)
        tensors, _ = self._area.write(outputs, command.free)
        return Answered(tensors)


def _row_s(loaded: Loaded, inputs: Arrays) -> float:
    began_s = time.monotonic()
    loaded.run(inputs)
    return (time.monotonic() - began_s) / rows_of(inputs)


def main() -> None:
    """Answer until the socket closes."""
    parent, control, memory = (int(word) for word in sys.argv[1:4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    die_with(parent)
    engines = _Engines(Area(memory))
    with socket.socket(fileno=control) as link:
        while raw := link.recv(MOST_BYTES):
            try:
                reply = engines.do(msgspec.json.decode(raw, type=Command))
            except Exception as error:  # noqa: BLE001 (whatever happens is told to the parent)
                reply = told_of(error)
            link.send(msgspec.json.encode(reply))


if __name__ == "__main__":
    main()

"""What a worker printed: bounded on disk, its end kept for whoever debugs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from whet.errors import WhetError

__all__ = ["WorkerLog"]

_TAIL_BYTES = 16 << 10
_MAX_BYTES = 8 << 20

E = TypeVar("E", bound=WhetError)


class WorkerLog:
    """The file that a worker's output is appended to.

    Args:
        file: of it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._before = b""  # the end of what was cut off

    def trim(self) -> None:
        """Keep a worker that floods its log from filling the disk."""
        if self.file.stat().st_size > _MAX_BYTES:
            # Kept here and not written back: the worker goes on writing meanwhile.
            self._before = self._end()
            os.truncate(self.file, 0)  # the worker appends, so it goes on at the new end

    def tail(self) -> str:
        """The last of it, without what a terminal would obey."""
        text = self._end().decode("utf-8", "replace")
        return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)

    def last_words(self) -> str:
        """Its last line as the end of a sentence."""
        lines = [line.strip() for line in self.tail().splitlines() if line.strip()]
        return f"; it last said: {lines[-1][:300]}" if lines else "."

    def told(self, error: E) -> E:
        """The error with the end of the log as a note."""
        tail = self.tail()
        if tail.strip():
            error.add_note(f"log of the worker:\n{tail[-4000:]}")
        return error

    def _end(self) -> bytes:
        with self.file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _TAIL_BYTES))
            return (self._before + log.read())[-_TAIL_BYTES:]

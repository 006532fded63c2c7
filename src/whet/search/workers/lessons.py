"""How a worker whose network learns says how far it has come: one small file, replaced now and then.

The worker writes it in its scratch folder, and the parent looks there whenever it polls. Neither
waits for the other, and what is missed is overtaken by what comes next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from whet.core.lesson import Lesson

__all__ = ["Written", "read"]

_EVERY_S = 2.0
_MOST_BYTES = 4096


@dataclass
class Written:
    """Takes lessons and writes one of them at most every two seconds, and the last.

    Attributes:
        file: that is replaced.
        clock: monotonic seconds.
    """

    file: Path
    clock: Callable[[], float] = time.monotonic
    _next_s: float = field(default=float("-inf"), init=False)

    def __call__(self, lesson: Lesson) -> None:
        now = self.clock()
        if now < self._next_s and lesson.done < lesson.steps:
            return
        self._next_s = now + _EVERY_S
        beside = self.file.with_suffix(".part")
        try:
            beside.write_bytes(msgspec.json.encode(lesson))
            beside.replace(self.file)
        except OSError as error:
            # Nobody learns how far it is, which is no reason to stop learning.
            print(f"{self.file} can't be written: {error}")  # noqa: T201 - the worker's own log


def read(file: Path) -> Lesson | None:
    """The lesson in a file; ``None`` where there is none, or anything else."""
    try:
        with file.open("rb") as opened:
            return msgspec.json.decode(opened.read(_MOST_BYTES), type=Lesson)
    except (OSError, msgspec.DecodeError):
        return None

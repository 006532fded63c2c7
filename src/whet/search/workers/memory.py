"""How much memory a search holds at its worst: its own process and all workers together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Self, final

from whet.measure.spawn import resident_bytes

__all__ = ["MemoryWatch"]

# A look costs some milliseconds of one core: more of them would show in what is being timed.
_EVERY_S = 1.0


@final
class MemoryWatch:
    """Looks at the memory of this process and its descendants in the background.

    A context manager. The figure is the highest sum of resident sets seen: pages
    that processes share count more than once, and a peak that is over within a
    second may be missed.

    Args:
        every_s: seconds between two looks.
        look: gives the bytes that a process and its descendants hold.
    """

    def __init__(
        self, every_s: float = _EVERY_S, look: Callable[[int], int] = resident_bytes
    ) -> None:
        self._every_s, self._look = every_s, look
        self._peak_bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="whet-memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def peak_bytes(self) -> int | None:
        """The highest figure so far; ``None`` where this system doesn't tell."""
        self._see()
        return self._peak_bytes or None

    def _watch(self) -> None:
        while not self._over.wait(self._every_s):
            self._see()

    def _see(self) -> None:
        self._peak_bytes = max(self._peak_bytes, self._look(os.getpid()))

"""Shows a search while it runs, on stderr.

On a terminal, lines that stay scroll above a small block that is redrawn in
place; elsewhere each line is written once, with its time. Between events only
the clock in the block moves, once a second: the machine is being measured,
and drawing must not be what is measured. Events themselves redraw at most ten
times a second. A redraw is one write, so nothing flickers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, final

from whet.cli.console import Console, Paint, plain
from whet.cli.story import Story
from whet.search.events import Event, Finished

__all__ = ["Progress"]

_LEAST_S = 0.1
_TICK_S = 1.0


@final
class Progress:
    """A listener for `whet.optimize`; a context manager that leaves the terminal clean.

    Args:
        console: where to write; nothing is written when it is quiet.
        title: what is being optimised.
        clock: monotonic seconds.
        tick_s: how often the block's clock moves; 0 = only with events.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        tick_s: float = _TICK_S,
    ) -> None:
        self._console = console
        self._paint: Paint = console.paint_err
        self._live = console.live and not console.quiet
        self._clock = clock
        self._tick_s = tick_s
        self._story = Story(title, live=self._live)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._shown = 0  # lines of the block on the screen
        self._waiting: list[str] = []  # lines that stay and aren't written yet
        self._drawn_s = -1e9
        # The events' time and this clock's: the block counts on between events.
        self._heard_s = clock()
        self._heard_elapsed_s = 0.0

    @property
    def story(self) -> Story:
        """What is known so far."""
        return self._story

    def __enter__(self) -> Self:
        if not self._console.quiet:
            self._stay([self._paint(f"whet · {plain(self._story.title)}", "bold")])
        if self._live and self._tick_s > 0:
            self._ticker = threading.Thread(target=self._tick, name="whet-progress", daemon=True)
            self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join(timeout=2.0)
        with self._lock:
            if self._live:
                self._draw(final=True)

    def __call__(self, event: Event) -> None:
        """Take an event in and show it."""
        with self._lock:
            self._heard_s, self._heard_elapsed_s = self._clock(), event.elapsed_s
            lines = self._story.hear(event, self._paint)
        if not self._console.quiet:
            self._stay(lines, force=isinstance(event, Finished))

    def note(self, line: str) -> None:
        """A line of the command's own, above the block."""
        self._stay([line], force=True)

    # -- inside --

    def _stay(self, lines: list[str], *, force: bool = False) -> None:
        with self._lock:
            if not self._live:
                stamp = f"[{self._story.elapsed_s:7.1f} s] "
                self._console.tell(*(f"{stamp}{line}" for line in lines))
                return
            self._waiting += lines
            if force or self._clock() - self._drawn_s >= _LEAST_S:
                self._draw()

    def _draw(self, *, final: bool = False) -> None:
        """Replace the block on the screen by the waiting lines and a new block, in one write."""
        now = self._clock()
        self._drawn_s = now
        parts = [f"\x1b[{self._shown}A" if self._shown else "", "\r\x1b[J"]
        parts += [f"{line}\n" for line in self._waiting]
        block: list[str] = []
        if not final:
            elapsed = self._heard_elapsed_s + now - self._heard_s
            block = self._story.block(elapsed, self._console.columns, self._paint)
        parts += [f"{line}\n" for line in block]
        self._waiting, self._shown = [], len(block)
        self._console.draw("".join(parts))

    def _tick(self) -> None:
        while not self._ended.wait(self._tick_s):
            with self._lock:
                self._draw()

"""Runs a search under the eyes of the user, who may end it.

The first Ctrl-C (or SIGTERM) ends the climb: the search certifies and packs the
best so far, or stops where there is nothing to pack yet. The second ends at
once; the ledger is whole at every moment. Workers and contenders run in sessions
of their own, so that the terminal's Ctrl-C reaches this process alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from whet.cli.console import Console
from whet.cli.document import stopped_document
from whet.cli.exits import Exit
from whet.cli.progress import Progress
from whet.search.events import Event, Stopped

__all__ = ["RESUME", "watch"]

T = TypeVar("T")
_AT_ONCE = 2  # signals
RESUME = "Everything so far is kept: give the same command again and no finished trial is repeated."
_STOPPING = "Stopping, and closing with the best so far if there is one. Ctrl-C again ends at once."


def watch(
    console: Console, title: str, job: Callable[[Callable[[Event], None], threading.Event], T]
) -> T | None:
    """Run ``job(listener, cancel)``; ``None`` when the user ended it before it had a result.

    Raises:
        WhetError: as the job does.
    """
    cancel = threading.Event()
    progress = Progress(console, title)
    try:
        with progress, _stoppable(cancel, progress):
            return job(progress, cancel)
    except (Stopped, KeyboardInterrupt):
        console.tell(console.paint_err("Stopped.", "yellow") + f" {RESUME}")
        stopped_document(console, RESUME, Exit.INTERRUPTED)
        return None


@contextmanager
def _stoppable(cancel: threading.Event, progress: Progress) -> Iterator[None]:
    """Turn the first signal into ``cancel``, and the second into `KeyboardInterrupt`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def asked(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) == _AT_ONCE:
            raise KeyboardInterrupt
        if len(heard) > _AT_ONCE:
            return  # what is being tidied up takes seconds; cut short, it would leave things behind
        cancel.set()
        # A handler may interrupt a write, so the words are written by another thread.
        threading.Thread(target=progress.note, args=(_STOPPING,), daemon=True).start()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

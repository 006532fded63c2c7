"""Runs a search under the eyes of the user, who may stop it.

The first Ctrl-C (or SIGTERM) asks the search to stop: it ends its workers and
leaves the ledger whole. The second ends at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from whet.cli.console import Console
from whet.cli.progress import Progress
from whet.errors import StorageError, WhetError
from whet.search.events import Event, Stopped

__all__ = ["RESUME", "watch"]

T = TypeVar("T")
RESUME = "Everything so far is kept: give the same command again and no finished trial is repeated."
_STOPPING = "Stopping; everything so far is kept. Ctrl-C again ends at once."


def watch(
    console: Console, title: str, job: Callable[[Callable[[Event], None], threading.Event], T]
) -> T | None:
    """Run ``job(listener, cancel)``; ``None`` when the user stopped it.

    Raises:
        WhetError: as the job does, unless it is a consequence of stopping.
    """
    cancel = threading.Event()
    progress = Progress(console, title)
    try:
        with progress, _stoppable(cancel, progress):
            return job(progress, cancel)
    except (Stopped, KeyboardInterrupt):
        pass
    except WhetError as error:
        # Stopping ends workers, and what they were doing then fails.
        if not cancel.is_set() or isinstance(error, StorageError):
            raise
    paint = console.paint_err
    console.tell(paint("Stopped.", "yellow") + f" {RESUME}")
    return None


@contextmanager
def _stoppable(cancel: threading.Event, progress: Progress) -> Iterator[None]:
    """Turn the first signal into ``cancel``."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def asked(_number: int, _frame: FrameType | None) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()
        # A handler may interrupt a write, so the words are written by another thread.
        threading.Thread(target=progress.note, args=(_STOPPING,), daemon=True).start()

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

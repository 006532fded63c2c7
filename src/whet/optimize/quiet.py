"""Keep libraries from chattering while they work.

The exporter, Hugging Face and torch write progress to the terminal, warn
about their own parts and log what doesn't concern the user. Here that is
dropped for the time of one call. Errors pass.

A search may run in a thread of a program that prints, warns and logs in others,
so only what the quiet thread itself says is dropped: streams, handlers of logs
and filters of warnings are the process's, and ask on each line whose it is.
They are put in when the first block begins and taken out when the last one
ends; one that somebody kept meanwhile lets everything through.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import TextIO, cast, final

__all__ = ["quiet"]

_MOST_STREAMS = 64  # programs have two; tests capture each into one of its own


class _Here(threading.local):
    """How many blocks the running thread is inside of."""

    depth = 0


_HERE = _Here()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No warnings, prints or log lines of third parties from this thread inside the block."""
    _GUARDS.put()
    _HERE.depth += 1
    try:
        yield
    finally:
        _HERE.depth -= 1
        _GUARDS.take()


@final
class _Stream:
    """Stands before a stream of the process and drops what quiet threads write."""

    def __init__(self, target: TextIO) -> None:
        self.target = target

    def write(self, text: str) -> int:
        return len(text) if _HERE.depth else self.target.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        found: object = getattr(self.target, name)
        return found


@final
class _Hush(logging.Filter):
    """Drops what a quiet thread logs, up to warnings."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _HERE.depth or record.levelno > logging.WARNING


@final
class _Anything:
    """Where `warnings` expects a pattern of messages: any, from a quiet thread."""

    def match(self, _text: str) -> bool:
        return _HERE.depth > 0


@final
class _Guards:
    """What is put before the process's streams, logs and warnings; counts its blocks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = 0
        self._hush = _Hush()
        self._guarded: list[logging.Handler] = []
        self._streams: dict[int, _Stream] = {}
        self._ignore = ("ignore", _Anything(), Warning, None, 0)

    def put(self) -> None:
        with self._lock:
            self._blocks += 1
            sys.stdout, sys.stderr = self._before(sys.stdout), self._before(sys.stderr)
            self._put_handlers()
            # The list itself: `catch_warnings` swaps it, and two threads would swap it for good.
            filters = cast("list[object]", warnings.filters)
            if self._ignore not in filters:
                filters.insert(0, self._ignore)

    def take(self) -> None:
        with self._lock:
            self._blocks -= 1
            if self._blocks:
                return
            sys.stdout, sys.stderr = _behind(sys.stdout), _behind(sys.stderr)
            for handler in self._guarded:
                handler.filters = [each for each in handler.filters if each is not self._hush]
            self._guarded.clear()
            with contextlib.suppress(ValueError):  # somebody's `catch_warnings` swapped the list
                cast("list[object]", warnings.filters).remove(self._ignore)

    def _before(self, stream: TextIO | None) -> TextIO:
        """One guard for each stream, kept: `print` holds no reference to what it writes to.

        Freed when the block ends, it would take a thread down that is still printing.
        """
        if stream is None or isinstance(stream, _Stream):  # none: a program without a console
            return cast("TextIO", stream)
        if id(stream) not in self._streams and len(self._streams) >= _MOST_STREAMS:
            self._streams.pop(next(iter(self._streams)))
        return cast("TextIO", self._streams.setdefault(id(stream), _Stream(stream)))

    def _put_handlers(self) -> None:
        for handler in _handlers():
            if self._hush not in handler.filters:
                # A new list: another thread may be walking through the old one.
                handler.filters = [*handler.filters, self._hush]
                self._guarded.append(handler)


_GUARDS = _Guards()


def _behind(stream: TextIO | _Stream) -> TextIO:
    return stream.target if isinstance(stream, _Stream) else stream


def _handlers() -> Iterator[logging.Handler]:
    """Every handler that a record can reach."""
    loggers = list(logging.root.manager.loggerDict.values())
    for logger in (logging.root, *loggers):
        if isinstance(logger, logging.Logger):
            yield from list(logger.handlers)
    yield from filter(None, [logging.lastResort])  # a program may set it to nothing

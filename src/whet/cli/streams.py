"""Standard streams that are closed or take nothing become the null device."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

__all__ = ["reopen_closed", "silence"]

_STANDARD = (0, 1, 2)


def reopen_closed() -> None:
    """Open the null device where the caller closed a standard stream (``>&-``).

    Otherwise the next file that anything opens gets the number of the stream, and what a
    library or a program prints is written into it.
    """
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            # Those below are open by now, so this is the lowest number that is free.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # Python has none for what was closed when it started.
    if sys.stdout is None:
        sys.stdout = _null()
    if sys.stderr is None:
        sys.stderr = _null()


def silence(stream: TextIO) -> None:
    """Let a stream that takes nothing lead nowhere.

    What it still holds would fail again when Python ends, which says so and changes the
    exit code.

    Args:
        stream: one without a file behind it is left alone.
    """
    with contextlib.suppress(OSError):
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        if null != number:  # it was closed behind Python's back
            os.dup2(null, number, inheritable=number in _STANDARD)
            os.close(null)


def _null() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - as long as the process

"""Stdout belongs to the command: what anything else prints goes to stderr.

The user's own files run in this process (samples, metrics), and so do libraries that say
things; a `print` of theirs must not get into the one JSON document, nor what a
program that they start writes to its inherited stdout.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from whet.cli.console import Console

__all__ = ["owned"]

_STDOUT, _STDERR = 1, 2


@contextlib.contextmanager
def owned(console: Console) -> Iterator[None]:
    """While this is open, only the console writes to stdout.

    Args:
        console: if it writes to the process's own stdout, it gets a copy of that, and the
            process's becomes stderr; else only Python's `sys.stdout` is turned.
    """
    with contextlib.redirect_stdout(console.err):
        if _is_stdout(console):
            with _descriptor(console):
                yield
        else:
            yield


def _is_stdout(console: Console) -> bool:
    try:
        return console.out is sys.__stdout__ is not None and console.out.fileno() == _STDOUT
    except (OSError, ValueError):  # a stream without a file behind it
        return False


@contextlib.contextmanager
def _descriptor(console: Console) -> Iterator[None]:
    before = console.out
    before.flush()
    copy = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    encoding, errors = before.encoding, getattr(before, "errors", None)
    console.out = os.fdopen(copy, "w", encoding=encoding, errors=errors)
    try:
        yield
    finally:
        os.dup2(copy, _STDOUT)
        own, console.out = console.out, before
        own.close()  # each write was flushed, or the stream leads nowhere by now

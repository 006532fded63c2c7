"""Runs on the cores that figures were measured with, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["pinned"]


@contextlib.contextmanager
def pinned(cores: tuple[int, ...]) -> Iterator[None]:
    """Keep this thread, and the threads that are started meanwhile, on some cores.

    An engine's threads are started when it is opened, so it has to be opened inside.
    Where the system can't pin, nothing happens.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

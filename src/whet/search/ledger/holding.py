"""One search at a time on a file or folder: a lock file beside it, held by the kernel.

What the lock file says is for people only. The kernel gives the lock back when its
owner dies, however it dies, so a lock file that is merely there means nothing.
"""

from __future__ import annotations

import fcntl
import os
import platform
from pathlib import Path

__all__ = ["hold"]


def hold(lock: Path) -> int | str:
    """The handle that holds the lock until it is closed, or the words for who holds it.

    Raises:
        OSError: the file can't be opened, or its file system has no locks.
    """
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = os.read(handle, 200).decode("utf-8", "replace").strip()
            os.close(handle)
            return words or "another process"
        except OSError:
            os.close(handle)
            raise
        if _is(lock, handle):
            break
        os.close(handle)  # its folder was cleaned away between opening and locking
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
    return handle


def _is(lock: Path, handle: int) -> bool:
    try:
        return os.path.samestat(lock.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False

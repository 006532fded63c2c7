"""Scratch folders that don't outlive their process for long, even if it is killed.

A folder is made, locked and only then given the name that a sweep looks for. The
kernel gives the lock back when the owner dies, however it dies; so a folder of
that name whose lock is free has lost its owner, and the next search removes it.
Process ids would not do: another container may share the folder and not the ids.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["is_scratch", "scratch_folder", "sweep"]

_NAME = "whet-scratch-"
_UNHELD = ".whet-new-"


@contextlib.contextmanager
def scratch_folder(within: Path | None = None) -> Iterator[Path]:
    """A private folder for temporary files, removed at the end or, after a kill, by `sweep`.

    Args:
        within: where to make it; by default in the system's temporary folder.

    Raises:
        OSError: it can't be made.
    """
    made = Path(tempfile.mkdtemp(prefix=_UNHELD, dir=within))
    folder = made.with_name(_NAME + made.name.removeprefix(_UNHELD))
    try:
        handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        made.rmdir()
        raise
    try:
        # On a file system without locks the folder is never swept, and works all the same.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.rename(folder)
        yield folder
    finally:
        for path in (made, folder):
            shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def is_scratch(folder: Path) -> bool:
    """Whether a folder has the name of a scratch folder, or of one that is just being made."""
    return folder.name.startswith((_NAME, _UNHELD))


def sweep(within: Path | None = None) -> int:
    """Remove the scratch folders of this user whose processes were killed; returns how many.

    Args:
        within: where they were made; by default the system's temporary folder.
    """
    swept = 0
    where = within if within is not None else Path(tempfile.gettempdir())
    for folder in where.glob(f"{_NAME}*"):
        with contextlib.suppress(OSError):
            swept += _removed(folder)
    return swept


def _removed(folder: Path) -> bool:
    # No link is followed: anybody may put one into a shared temporary folder.
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_uid != os.getuid():
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(handle)
    return True

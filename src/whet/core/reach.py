"""Whether something is there and may be read, asked once and guarded.

``Path.exists`` and its kin raise where a folder may not be searched or a name is too long for the
system. At the borders, where the user names a path, that is wrong input like a path that leads
nowhere, and gets a sentence.
"""

from __future__ import annotations

import enum
import errno
import os
import stat
from pathlib import Path

from whet.errors import WhetError

__all__ = ["Kind", "expanded", "found", "is_folder", "readable"]

_SHOWN = 200  # characters of a path in a sentence
_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR})


class Kind(enum.Enum):
    """What stands at a path; links are followed."""

    NOTHING = enum.auto()
    FILE = enum.auto()
    FOLDER = enum.auto()
    OTHER = enum.auto()  # a FIFO, a socket, a device

    @property
    def there(self) -> bool:
        return self is not Kind.NOTHING


def found(path: Path, refuse: type[WhetError]) -> Kind:
    """What stands at a path.

    Args:
        path: given by the user.
        refuse: the error to raise.

    Raises:
        WhetError: of the kind ``refuse``: the system doesn't say, since a folder above may not be
            searched, the name is too long, or links lead in a circle.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # a NUL character: no system has such a path
        return Kind.NOTHING
    except OSError as error:
        if error.errno in _NOTHING:
            return Kind.NOTHING
        raise _refusal(path, error, refuse) from error
    if stat.S_ISREG(mode):
        return Kind.FILE
    return Kind.FOLDER if stat.S_ISDIR(mode) else Kind.OTHER


def readable(path: Path, refuse: type[WhetError]) -> Kind:
    """As `found`; a file or folder that is there may also be read. Nothing else is opened.

    Args:
        path: given by the user.
        refuse: the error to raise.

    Raises:
        WhetError: of the kind ``refuse``: see `found`, or it may not be read.
    """
    kind = found(path, refuse)
    try:
        if kind is Kind.FILE:
            # Tried, since no access bits tell for all file systems; it never waits for a FIFO
            # that takes the file's place meanwhile.
            os.close(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
        elif kind is Kind.FOLDER:
            os.scandir(path).close()
            (path / "..").stat()  # not by those who may not search it
    except OSError as error:
        raise _refusal(path, error, refuse) from error
    return kind


def is_folder(path: Path) -> bool:
    """Whether a folder is known to stand there; never raises."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def expanded(path: Path) -> Path:
    """The path with the home that ``~`` stands for; as it is where nobody has such a home."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _refusal(path: Path, error: OSError, refuse: type[WhetError]) -> WhetError:
    shown = str(path)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}..."
    if error.errno in {errno.EACCES, errno.EPERM}:
        remedy = "Let this user read it, and search the folders above it."
    else:
        remedy = "Check the path."
    return refuse(f"'{shown}' can't be read: {error.strerror or error}.", remedy)

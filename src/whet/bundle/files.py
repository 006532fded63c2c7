"""Touching the files of a bundle that isn't trusted: no links, no devices, no waiting."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from whet.bundle.check import MANIFEST, SEAL
from whet.errors import BundleCorruptError, BundleError, BundlePathError, WhetError

__all__ = ["REMEDY", "hash_file", "plain_file", "read_limited", "unlisted", "unreadable"]

REMEDY = "Get the bundle again from where it was made."
# Not there on Windows, which has neither links that open follows silently nor FIFOs in folders.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def unlisted(folder: Path, listed: Iterable[str]) -> str | None:
    """The first entry below ``folder`` that is neither listed nor a folder of listed files.

    Args:
        folder: real path of the bundle.
        listed: relative names.
    """
    files = {MANIFEST, SEAL, *listed}
    folders = {
        "/".join(parts[:end])
        for parts in (name.split("/") for name in files)
        for end in range(1, len(parts))
    }
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            with os.scandir(folder / inside) as entries:
                for entry in entries:
                    name = f"{inside}/{entry.name}" if inside else entry.name
                    if entry.is_dir(follow_symlinks=False) and name in folders:
                        waiting.append(name)
                    elif name not in files or entry.is_dir(follow_symlinks=False):
                        return name
        except OSError as error:
            raise unreadable(inside or str(folder), error) from error
    return None


def plain_file(folder: Path, name: str) -> os.stat_result:
    """Status of a plain file whose path holds no link; the name has been checked."""
    parts = name.split("/")
    for end in range(1, len(parts) + 1):
        inner = "/".join(parts[:end])
        try:
            status = (folder / inner).lstat()
        except OSError as error:
            raise unreadable(inner, error) from error
        if stat.S_ISLNK(status.st_mode):
            raise BundlePathError(f"'{inner}' is a link; a bundle holds plain files only.", REMEDY)
        wanted = stat.S_ISREG if end == len(parts) else stat.S_ISDIR
        if not wanted(status.st_mode):
            raise BundleCorruptError(f"'{inner}' is no plain file or folder as listed.", REMEDY)
    return status


def _open(folder: Path, name: str) -> int:
    """A handle on a plain file; never waits for a FIFO that was put in its place."""
    before = plain_file(folder, name)
    try:
        handle = os.open(folder / name, os.O_RDONLY | _NO_FOLLOW | _BINARY)
    except OSError as error:
        raise unreadable(name, error) from error
    after = os.fstat(handle)
    if not os.path.samestat(before, after):
        os.close(handle)
        raise BundleCorruptError(f"'{name}' was exchanged while it was opened.", REMEDY)
    return handle


def read_limited(folder: Path, name: str, limit_bytes: int) -> bytes:
    """All bytes of a plain file that has at most ``limit_bytes``."""
    with os.fdopen(_open(folder, name), "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit_bytes:
            raise BundleCorruptError(
                f"'{name}' has {size} bytes; {limit_bytes} are allowed.", REMEDY
            )
        try:
            return stream.read(size)
        except OSError as error:
            raise unreadable(name, error) from error


def hash_file(folder: Path, name: str) -> str:
    """SHA-256 of a plain file, streamed."""
    with os.fdopen(_open(folder, name), "rb") as stream:
        try:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> WhetError:
    """The one sentence for a file that the system refused to give."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return BundleCorruptError(f"The bundle lacks '{name}'.", REMEDY)
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, PermissionError):
        return BundleError(f"'{name}' may not be read: {reason}.", "Let this user read it.")
    return BundleError(f"'{name}' can't be read: {reason}.", "Check the disk.")

"""Writing that either happens whole or not at all.

A folder is filled beside its final place, synced, and then renamed there. A
reader sees the old state or the new one, never a mixture; what a killed
writer leaves is a hidden ``.NAME.XXXXXXXX.partial`` folder, which the next
writer of the same name removes. Every writer holds a lock on its own partial
folder, so that only those of dead writers are removed.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whet.bundle.manifest import FileEntry
from whet.core.room import is_full
from whet.errors import BundleError, StorageError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "check_outside",
    "check_room",
    "copy_file",
    "locked",
    "partial_of",
    "place_of",
    "replace_file",
    "staged",
    "storage_error",
    "write_file",
    "write_whole",
]

_CHUNK = 1 << 20
# A partial folder is made and locked within moments; one older than this without a lock is dead.
_YOUNG_S = 60.0
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def storage_error(error: OSError, where: Path) -> StorageError:
    """The one sentence for a write that the system refused."""
    if is_full(error):
        return StorageError(
            f"'{where}' can't be written: no space is left ({error.strerror}).",
            "Free some space, or write to another disk. Nothing was left behind.",
        )
    return StorageError(
        f"'{where}' can't be written: {error.strerror or error}.",
        "Check that the folder exists and may be written, or choose another place.",
    )


def place_of(path: str | Path) -> Path:
    """The absolute path to write to, without ``..``; the last part may be a symbolic link.

    Raises:
        StorageError: no system has such a path.
    """
    if "\0" in str(path):
        raise StorageError(f"{str(path)!r} is no path.", "Give a path without NUL characters.")
    place = Path(path).absolute()
    try:
        return place.resolve() if place.name == ".." else place.parent.resolve() / place.name
    except (OSError, RuntimeError) as error:
        remedy = "Look for symbolic links that lead to themselves."
        raise StorageError(f"'{path}' leads nowhere.", remedy) from error


def partial_of(where: Path) -> Path:
    """A new name beside a place, for what is to stand there and is not whole yet."""
    return where.with_name(f".{where.name}.{secrets.token_hex(4)}.partial")


def check_outside(file: Path, bundle: Path) -> None:
    """See that a file to write doesn't lie inside a bundle, whose files are sealed.

    Raises:
        BundleError: it does.
    """
    if bundle.is_dir() and file.resolve().is_relative_to(bundle.resolve()):
        raise BundleError(
            f"'{file}' lies inside the bundle '{bundle}', whose files are sealed.",
            "Name a file elsewhere.",
        )


def check_room(where: Path, size_bytes: int) -> None:
    """Refuse early what can't fit on the disk of the folder ``where``.

    Raises:
        StorageError: with both sizes.
    """
    try:
        free = shutil.disk_usage(where).free
    except OSError as error:
        raise storage_error(error, where) from error
    if free < size_bytes:
        raise StorageError(
            f"'{where}' has {free / 1e6:.3g} MB free; {size_bytes / 1e6:.3g} MB are needed.",
            "Free some space, or write to another disk. Nothing was left behind.",
        )


def copy_file(source: Path, target: Path) -> FileEntry:
    """Copy, hash what is written, and sync it to the disk.

    Raises:
        OSError: can't be read or written, or exists already.
    """
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return FileEntry(size, digest.hexdigest())


def write_file(data: bytes, target: Path) -> FileEntry:
    """Write a new file and sync it to the disk.

    Raises:
        OSError: can't be written, or exists already.
    """
    with target.open("xb") as writing:
        writing.write(data)
        writing.flush()
        os.fsync(writing.fileno())
    return FileEntry(len(data), hashlib.sha256(data).hexdigest())


@contextmanager
def replace_file(where: Path) -> Iterator[Path]:
    """A path beside ``where`` to write to; renamed to ``where`` if the block ends well.

    Raises:
        StorageError: something can't be written; ``where`` is as before.
    """
    partial = where.with_name(f".{where.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(where)
        _sync_folder(where.parent)
    except OSError as error:
        raise storage_error(error, where) from error
    finally:
        partial.unlink(missing_ok=True)


def write_whole(data: bytes, where: Path) -> None:
    """Write a file whole or not at all; one that is there is replaced, links are followed.

    What is there and no plain file (a pipe, a device) is written to as it is.

    Raises:
        StorageError: it can't be written; a file that was there is as before.
    """
    try:
        target = where.resolve()
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
    except (OSError, RuntimeError) as error:
        reason = error if isinstance(error, OSError) else OSError(errno.ELOOP, str(error))
        raise storage_error(reason, where) from error
    with replace_file(target) as partial:
        write_file(data, partial)


@contextmanager
def staged(where: Path, *, replace: bool) -> Iterator[Path]:
    """A new folder that takes the place of ``where`` if the block ends well.

    Args:
        where: the final place.
        replace: whether an existing folder may be replaced; it is exchanged in
            one step and then removed. The caller has checked what it is.

    Raises:
        StorageError: something can't be written; ``where`` is as before and
            nothing is left beside it.
        BundleError: something stands at ``where`` that may not be replaced.
    """
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        _sweep(where)
        partial = partial_of(where)
        partial.mkdir()
    except OSError as error:
        raise storage_error(error, where) from error
    try:
        with locked(partial):
            yield partial
            for folder, _, _ in os.walk(partial, topdown=False):
                _sync_folder(Path(folder))
            _publish(partial, where, replace=replace)
    except OSError as error:
        raise storage_error(error, where) from error
    finally:
        # What was begun or, after an exchange, the old folder. What resists is left to a sweep.
        shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, where: Path, *, replace: bool) -> None:
    if not os.path.lexists(where):
        partial.rename(where)
    elif not replace:
        raise BundleError(
            f"'{where}' exists already.", "Choose another place, or allow it to be replaced."
        )
    elif not _exchange(partial, where):
        # No atomic exchange here: for a moment nothing stands at `where`, but never half a folder.
        old = partial_of(where)
        where.rename(old)
        try:
            partial.rename(where)
        except OSError:
            old.rename(where)
            raise
        shutil.rmtree(old, ignore_errors=True)
    _sync_folder(where.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step (Linux); ``False`` where the system can't."""
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    status = renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    if status == 0:
        return True
    code = ctypes.get_errno()
    if code in {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    if sys.platform == "win32":  # folders can't be opened there, renames are journalled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; the kernel gives it back when this process dies."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sweep(where: Path) -> None:
    """Remove the partial folders that killed writers of ``where`` left."""
    if sys.platform == "win32":
        return
    prefix = f".{where.name}."
    for entry in list(os.scandir(where.parent)):
        ours = entry.name.startswith(prefix) and entry.name.endswith(".partial")
        if not ours or not entry.is_dir(follow_symlinks=False):
            continue
        if time.time() - entry.stat(follow_symlinks=False).st_mtime < _YOUNG_S:
            continue
        handle = os.open(entry.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its writer lives
        else:
            shutil.rmtree(entry.path, ignore_errors=True)
        finally:
            os.close(handle)

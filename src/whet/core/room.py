"""What can't be written: a full disk, told apart from what else goes wrong with files."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from whet.errors import StorageError

__all__ = ["full_disk", "is_full", "temporary", "temporary_folder", "written"]

# The disk, the quota, or the largest file that is allowed.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def is_full(error: BaseException) -> bool:
    """Whether something could not be written for lack of room."""
    return isinstance(error, OSError) and error.errno in _FULL


def full_disk(error: BaseException) -> StorageError:
    """What to say of it."""
    where = getattr(error, "filename", None)
    named = f": '{where}' can't be written" if where else ""
    return StorageError(f"The disk is full{named}.", "Free some space and start again.")


@contextlib.contextmanager
def written(what: str, where: Path | None = None) -> Iterator[None]:
    """While this is open, what the system refuses is one of our errors.

    Args:
        what: can't be done then, as the subject of a sentence and its predicate.
        where: the folder to look at; by default that of temporary files.

    Raises:
        StorageError: instead of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{what}: {error.strerror or error}.",
            f"Check the space and the rights in '{where if where is not None else temporary()}'.",
        ) from error


def temporary() -> str:
    """The folder of temporary files, for a sentence; also where none can be written."""
    try:
        return tempfile.gettempdir()
    except OSError:  # it looks for one by writing into it
        return os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - only named


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder among the temporary files, removed at the end.

    Raises:
        StorageError: it can't be made.
    """
    with written("No temporary folder can be made"):
        made = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    with made as folder:
        yield Path(folder)

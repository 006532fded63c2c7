"""A full disk, told apart from what else goes wrong with files."""

from __future__ import annotations

import errno

from whet.errors import StorageError

__all__ = ["full_disk", "is_full"]

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

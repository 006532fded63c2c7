from __future__ import annotations

import errno

from whet.core.room import full_disk, is_full


def test_what_counts_as_full() -> None:
    assert all(is_full(OSError(n, "x")) for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
    assert not is_full(PermissionError(errno.EACCES, "x"))
    assert not is_full(ValueError("No space left on device"))


def test_the_file_is_named_where_it_is_known() -> None:
    error = full_disk(OSError(errno.ENOSPC, "No space left on device", "a.onnx"))
    assert error.message == "The disk is full: 'a.onnx' can't be written."
    assert error.remedy
    assert full_disk(OSError(errno.ENOSPC, "x")).message == "The disk is full."

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest

from whet.core.room import full_disk, is_full, temporary, temporary_folder, written
from whet.errors import StorageError


def test_what_counts_as_full() -> None:
    assert all(is_full(OSError(n, "x")) for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
    assert not is_full(PermissionError(errno.EACCES, "x"))
    assert not is_full(ValueError("No space left on device"))


def test_the_file_is_named_where_it_is_known() -> None:
    error = full_disk(OSError(errno.ENOSPC, "No space left on device", "a.onnx"))
    assert error.message == "The disk is full: 'a.onnx' can't be written."
    assert error.remedy
    assert full_disk(OSError(errno.ENOSPC, "x")).message == "The disk is full."


def test_what_the_system_refuses_says_what_where_and_why(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as refused, written("It can't be kept", tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert refused.value.message == "It can't be kept: No space left on device."
    assert str(tmp_path) in refused.value.remedy
    with pytest.raises(ValueError, match="mine"), written("It can't be kept"):
        raise ValueError("mine")


def test_the_temporary_folder_is_named_even_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python looks for one by writing into it, and raises where each is full."""
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    monkeypatch.setenv("TMPDIR", "/full")
    assert temporary() == "/full"
    with pytest.raises(StorageError, match="temporary") as refused, written("It can't start"):
        tempfile.mkdtemp()
    assert "'/full'" in refused.value.remedy


def test_a_temporary_folder_is_gone_at_the_end_and_refused_in_our_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with temporary_folder("whet-test-") as folder:
        (folder / "a").write_text("x")
    assert not folder.exists()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(StorageError, match="No temporary folder"), temporary_folder("whet-test-"):
        pass

from __future__ import annotations

from pathlib import Path

import pytest

from whet.bundle.write import check_place
from whet.errors import StorageError


def test_a_free_place_is_fine_and_stays_free(tmp_path: Path) -> None:
    check_place(tmp_path / "new" / "out.whet")
    assert list((tmp_path / "new").iterdir()) == []


def test_what_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_text("")
    (tmp_path / "net.py").write_text("")
    for place in ("photos", "net.py"):
        with pytest.raises(StorageError, match="left alone") as caught:
            check_place(tmp_path / place)
        assert caught.value.exit_code == 6  # no bundle was given that could be refused


def test_a_place_that_can_not_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        check_place(tmp_path / "file" / "out.whet")


def test_two_dots_lead_out_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_text("")
    for place in ("gone/../photos", "gone/deep/../../photos", "photos/album/.."):
        with pytest.raises(StorageError, match="left alone"):
            check_place(tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_circle_of_links_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StorageError):
        check_place(tmp_path / "a" / "out.whet")

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from bundle_factory import make_bundle

from whet.bundle.pack import opened, pack, unpack
from whet.bundle.read import Bundle, read_bundle
from whet.errors import BundleCorruptError, BundleError, StorageError


def test_pack_and_unpack(bundle: Bundle, tmp_path: Path) -> None:
    file = pack(bundle.folder, tmp_path / "b.whet")
    again = unpack(file, tmp_path / "again", expect_digest=bundle.digest)
    assert again.manifest == bundle.manifest
    assert read_bundle(tmp_path / "again").digest == bundle.digest
    assert zipfile.is_zipfile(file)


def test_packing_is_deterministic_and_replaces_its_file(bundle: Bundle, tmp_path: Path) -> None:
    one = pack(bundle.folder, tmp_path / "one.whet").read_bytes()
    (tmp_path / "two.whet").write_bytes(b"old")
    assert pack(bundle.folder, tmp_path / "two.whet").read_bytes() == one
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_opened_takes_both_forms_and_cleans_up(bundle: Bundle, tmp_path: Path) -> None:
    file = pack(bundle.folder, tmp_path / "b.whet")
    with opened(bundle.folder) as one:
        assert one == bundle
    with opened(file, expect_digest=bundle.digest) as two:
        inside = two.folder
        assert two.manifest == bundle.manifest
        assert two.artifact().file.is_file()
    assert not inside.exists()
    with pytest.raises(BundleError, match="no bundle"), opened(tmp_path / "none"):
        pass


def test_a_packed_file_is_not_read_as_a_folder(bundle: Bundle, tmp_path: Path) -> None:
    file = pack(bundle.folder, tmp_path / "b.whet")
    with pytest.raises(BundleError, match="packed bundle, not a folder"):
        read_bundle(file)


def test_unpacking_never_replaces(bundle: Bundle, tmp_path: Path) -> None:
    file = pack(bundle.folder, tmp_path / "b.whet")
    (tmp_path / "there").mkdir()
    with pytest.raises(BundleError, match="exists already"):
        unpack(file, tmp_path / "there")
    with pytest.raises(BundleError, match="can't be read"):
        unpack(tmp_path / "none.whet", tmp_path / "x")


def test_a_damaged_bundle_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "report.html").write_text("cut")
    with pytest.raises(BundleCorruptError):
        pack(bundle.folder, tmp_path / "b.whet")
    assert not (tmp_path / "b.whet").exists()


def test_a_place_that_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        pack(bundle.folder, tmp_path / "no" / "folder" / "b.whet")


def test_any_damaged_byte_of_a_packed_file_is_refused(tmp_path: Path) -> None:
    made = make_bundle(tmp_path / "good", extra={}, evidence=None)
    good = pack(made.folder, tmp_path / "b.whet").read_bytes()
    evil, out = tmp_path / "evil.whet", tmp_path / "out"
    step = max(1, len(good) // 100)
    for position in range(0, len(good), step):
        evil.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        try:
            again = unpack(evil, out)
        except BundleError:
            assert not out.exists()
            continue
        # A byte of the zip's own bookkeeping that nobody reads: the content is untouched.
        assert again.digest == made.digest
        read_bundle(out)
        shutil.rmtree(out)


def test_any_truncated_packed_file_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    good = pack(bundle.folder, tmp_path / "b.whet").read_bytes()
    evil = tmp_path / "evil.whet"
    for size in [*range(0, len(good), max(1, len(good) // 50)), len(good) - 1]:
        evil.write_bytes(good[:size])
        with pytest.raises(BundleError):
            unpack(evil, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_bundle_is_not_packed_into_itself(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="inside the bundle"):
        pack(bundle.folder, bundle.folder / "own.whet")
    assert read_bundle(bundle.folder).digest == bundle.digest

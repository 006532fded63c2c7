"""A bundle as one ``.whet`` file: a zip that stores and never compresses.

Weights hardly shrink, and without compression there are no bombs: what comes
out is never larger than what went in, and both are known before anything is
written. Entries stand in sorted order with a fixed date, so that the same
bundle always packs to the same bytes.

A packed file is unpacked before use, because runtimes open real files.
`opened` takes both forms and cleans up after itself.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from whet.bundle.check import MANIFEST, SEAL
from whet.bundle.disk import check_outside, check_room, place_of, replace_file, staged
from whet.bundle.manifest import MAX_FILES
from whet.bundle.names import check_names
from whet.bundle.read import Bundle, read_bundle
from whet.core.room import temporary_folder
from whet.errors import BundleCorruptError, BundleError, BundlePathError

__all__ = ["opened", "pack", "unpack"]

_CHUNK = 1 << 20
_DATE = (1980, 1, 1, 0, 0, 0)
_REMEDY = "Get the file again from where it was made."
# Bounds on the zip's directory, which zipfile reads into memory as a whole.
_MAX_ENTRIES = MAX_FILES + 2
_MAX_DIRECTORY_BYTES = _MAX_ENTRIES * 1024
_END = struct.Struct("<4s4H2LH")  # end of central directory record
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")


def pack(bundle: str | Path, file: str | Path) -> Path:
    """Check a bundle and write it as one file, atomically; an existing file is replaced.

    Raises:
        BundleError: the bundle is refused.
        StorageError: the file can't be written; nothing is left behind.
    """
    checked = read_bundle(bundle)
    target = place_of(file)
    check_outside(target, checked.folder)
    check_room(target.parent, checked.size_bytes())
    names = [MANIFEST, SEAL, *sorted(checked.manifest.files)]
    with replace_file(target) as partial:
        with zipfile.ZipFile(partial, "x", zipfile.ZIP_STORED) as archive:
            for name in names:
                info = zipfile.ZipInfo(name, _DATE)
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                source = checked.folder / name
                info.file_size = source.stat().st_size  # decides whether zip64 is needed
                with source.open("rb") as reading, archive.open(info, "w") as writing:
                    while chunk := reading.read(_CHUNK):
                        writing.write(chunk)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
    return target


def unpack(file: str | Path, where: str | Path, *, expect_digest: str | None = None) -> Bundle:
    """Unpack a hostile file into a new folder and check it as a bundle.

    Nothing appears at ``where`` unless every check has passed.

    Args:
        file: the packed bundle.
        where: the folder to make; it must not exist.
        expect_digest: see `read_bundle`.

    Raises:
        BundlePathError: an entry's name or kind leads elsewhere.
        BundleCorruptError: the file is damaged, compressed, or not a packed bundle.
        StorageError: the folder can't be written; nothing is left behind.
    """
    source, place = Path(file), place_of(where)
    if os.path.lexists(place):
        raise BundleError(f"'{place}' exists already.", "Choose another place.")
    try:
        stream = _open_plain(source)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise BundleError(
            f"'{source}' can't be read: {reason}.", "Check the path and its rights."
        ) from error
    with stream, staged(place, replace=False) as folder:
        _extract(stream, source.name, folder)
        read_bundle(folder, expect_digest=expect_digest)
    return read_bundle(place, check_hashes=False)


@contextmanager
def opened(path: str | Path, *, expect_digest: str | None = None) -> Iterator[Bundle]:
    """A checked bundle from a folder or a packed file.

    A packed file is unpacked into a temporary folder, which is removed when
    the block ends; close sessions on its files before.

    Raises:
        BundleError: the bundle is refused.
        StorageError: it can't be unpacked.
    """
    source = Path(path)
    if not os.path.isfile(source):  # noqa: PTH113 - unlike Path.is_file it takes any text
        yield read_bundle(source, expect_digest=expect_digest)
        return
    with temporary_folder("whet-bundle-") as inside:
        yield unpack(source, inside / "bundle", expect_digest=expect_digest)


def _open_plain(source: Path) -> BinaryIO:
    handle = os.open(
        source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    stream = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        stream.close()
        raise BundleError(f"'{source}' is no plain file.", "Give a packed bundle.")
    return stream


def _extract(stream: BinaryIO, what: str, folder: Path) -> None:
    size = os.fstat(stream.fileno()).st_size
    _check_directory(stream, size, what)
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            _check_entries(entries, size, what)
            check_room(folder.parent, sum(entry.file_size for entry in entries))
            for entry in entries:
                _extract_one(archive, entry, folder / entry.filename)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, struct.error) as error:
        raise BundleCorruptError(f"'{what}' is damaged: {error}.", _REMEDY) from error


def _check_directory(stream: BinaryIO, size: int, what: str) -> None:
    """Bound the zip's directory before zipfile allocates it.

    Our files end with the end record and have no comment. Where the sizes
    pass 4 GiB, a zip64 record stands before it, and zipfile believes that one.
    """
    fault = BundleCorruptError(f"'{what}' is damaged or not a packed bundle.", _REMEDY)
    if size < _END.size:
        raise fault
    end = size - _END.size
    magic, _, _, _, entries, length, _, comment = _END.unpack(_at(stream, end, _END.size))
    if magic != b"PK\x05\x06" or comment:
        raise fault
    before = end - _END64_LOCATOR.size
    if before >= 0:
        magic, _, offset, _ = _END64_LOCATOR.unpack(_at(stream, before, _END64_LOCATOR.size))
        if magic == b"PK\x06\x07":
            if offset != before - _END64.size:
                raise fault
            record = _END64.unpack(_at(stream, offset, _END64.size))
            if record[0] != b"PK\x06\x06":
                raise fault
            entries, length = record[7], record[8]
    if entries > _MAX_ENTRIES or length > _MAX_DIRECTORY_BYTES:
        raise BundleCorruptError(
            f"'{what}' lists {entries} files in {length} bytes; that is too much.", _REMEDY
        )


def _at(stream: BinaryIO, offset: int, count: int) -> bytes:
    stream.seek(offset)
    return stream.read(count)


def _check_entries(entries: list[zipfile.ZipInfo], size: int, what: str) -> None:
    if len(entries) > _MAX_ENTRIES:
        raise BundleCorruptError(f"'{what}' lists {len(entries)} files.", _REMEDY)
    # zipfile shortens names at a NUL and turns backslashes; the name as stored must be the name.
    check_names([entry.orig_filename for entry in entries], remedy=_REMEDY)
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir() or kind not in {0, stat.S_IFREG}:
            raise BundlePathError(f"'{entry.filename}' is not stored as a plain file.", _REMEDY)
        if (
            entry.compress_type != zipfile.ZIP_STORED
            or entry.compress_size != entry.file_size
            or entry.flag_bits & 0x1
        ):
            raise BundleCorruptError(
                f"'{entry.filename}' is compressed or encrypted; a packed bundle stores plainly.",
                _REMEDY,
            )
    # Stored entries that don't overlap can't hold more than the file does.
    if sum(entry.file_size for entry in entries) > size:
        raise BundleCorruptError(f"'{what}' claims more bytes than it has.", _REMEDY)


def _extract_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = entry.file_size
    with archive.open(entry) as reading, target.open("xb") as writing:
        while chunk := reading.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"'{entry.filename}' is longer than it says")
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    if left:
        raise zipfile.BadZipFile(f"'{entry.filename}' is shorter than it says")

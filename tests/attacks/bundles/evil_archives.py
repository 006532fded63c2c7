"""Packed bundles that try to write elsewhere, or more than they hold."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from whet.errors import BundleCorruptError, BundleError, BundlePathError

Entries = list[tuple[zipfile.ZipInfo, bytes]]


def entries_of(bundle: Path) -> Entries:
    names = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())
    return [(zipfile.ZipInfo(name), (bundle / name).read_bytes()) for name in names]


def write(entries: Entries, file: Path, kind: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for info, data in entries:
            archive.writestr(info, data, compress_type=kind)


def with_entry(name: str, data: bytes = b"evil", mode: int = 0) -> Callable[[Path, Path], None]:
    """One more entry."""

    def craft(bundle: Path, file: Path) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        info.external_attr = mode << 16
        write([*entries_of(bundle), (info, data)], file)

    return craft


def patched(old: bytes, new: bytes, count: int = -1) -> Callable[[Path, Path], None]:
    """The bytes of a good archive with something replaced, for what zipfile won't write."""

    def craft(bundle: Path, file: Path) -> None:
        write(entries_of(bundle), file)
        data = file.read_bytes()
        assert old in data
        file.write_bytes(data.replace(old, new, count))

    return craft


def deflated(bundle: Path, file: Path) -> None:
    write(entries_of(bundle), file, zipfile.ZIP_DEFLATED)


def bomb(bundle: Path, file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in entries_of(bundle):
            archive.writestr(info, data)
        archive.writestr("zeros", bytes(50 << 20))


def overlapping_bomb(bundle: Path, file: Path) -> None:
    """Many directory entries over one body of data."""
    body = bytes(100_000)
    with zipfile.ZipFile(file, "w") as archive:
        for info, data in entries_of(bundle):
            archive.writestr(info, data)
        archive.writestr("k0", body)
        last = archive.infolist()[-1]
        for number in range(1, 100):
            again = zipfile.ZipInfo(f"k{number}")
            again.file_size = again.compress_size = len(body)
            again.CRC, again.header_offset = last.CRC, last.header_offset
            archive.filelist.append(again)


def same_name_twice(bundle: Path, file: Path) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own warning of what we do on purpose
        with_entry("report.html")(bundle, file)


def many_entries(bundle: Path, file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(5000):
            archive.writestr(f"e{number}", b"")


def claims_a_giant_directory(bundle: Path, file: Path) -> None:
    """A zip64 record that asks zipfile to read terabytes."""
    write(entries_of(bundle), file)
    data = file.read_bytes()
    end = data[-22:]
    start = len(data) - 22
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 5, 5, 1 << 42, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start, 1)
    file.write_bytes(data[:-22] + record + locator + end)


def with_comment(bundle: Path, file: Path) -> None:
    write(entries_of(bundle), file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"x" * 100


def with_a_prefix(bundle: Path, file: Path) -> None:
    """An executable with a zip behind it still unpacks to the same bytes, or is refused."""
    write(entries_of(bundle), file)
    file.write_bytes(b"#!/bin/sh\nexit 1\n" + file.read_bytes()[:-30])


def names_disagree(bundle: Path, file: Path) -> None:
    """The name at the data is another than the one in the directory."""
    patched(b"report.html", b"rEport.html", 1)(bundle, file)


def not_a_bundle(bundle: Path, file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("hello.txt", b"hello")


def lacks_a_file(bundle: Path, file: Path) -> None:
    write([e for e in entries_of(bundle) if e[0].filename != "report.html"], file)


def unlisted(bundle: Path, file: Path) -> None:
    with_entry("variants/small/extra.data")(bundle, file)


def no_zip(bundle: Path, file: Path) -> None:
    file.write_bytes(b"PK\x03\x04" + bytes(1000))


def empty(bundle: Path, file: Path) -> None:
    file.write_bytes(b"")


ATTACKS: dict[str, tuple[Callable[[Path, Path], None], type[BundleError]]] = {
    "zip slip": (with_entry("../../escaped"), BundlePathError),
    "zip slip inside": (with_entry("variants/../../escaped"), BundlePathError),
    "absolute": (with_entry("/tmp/escaped"), BundlePathError),
    "backslash": (with_entry("..\\escaped"), BundlePathError),
    "newline": (with_entry("a\nb"), BundlePathError),
    "folder entry": (with_entry("sub/"), BundlePathError),
    "link": (with_entry("link", b"/etc/passwd", stat.S_IFLNK | 0o777), BundlePathError),
    "device": (with_entry("device", b"", stat.S_IFCHR | 0o666), BundlePathError),
    "fifo": (with_entry("fifo", b"", stat.S_IFIFO | 0o666), BundlePathError),
    "same name twice": (same_name_twice, BundlePathError),
    "other case": (with_entry("REPORT.html"), BundlePathError),
    "NUL in a name": (patched(b"report.html", b"report\0html"), BundlePathError),
    "names disagree": (names_disagree, BundleCorruptError),
    "deflated": (deflated, BundleCorruptError),
    "bomb": (bomb, BundleCorruptError),
    "overlapping bomb": (overlapping_bomb, BundleCorruptError),
    "many entries": (many_entries, BundleCorruptError),
    "giant directory": (claims_a_giant_directory, BundleCorruptError),
    "comment": (with_comment, BundleCorruptError),
    "prefix": (with_a_prefix, BundleCorruptError),
    "not a bundle": (not_a_bundle, BundleError),
    "lacks a file": (lacks_a_file, BundleCorruptError),
    "unlisted": (unlisted, BundleCorruptError),
    "no zip": (no_zip, BundleCorruptError),
    "empty": (empty, BundleCorruptError),
    "changed byte": (patched(b"<html>report", b"<html>evil!!"), BundleCorruptError),
}

"""Writing a bundle: whole and synced, or not at all."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

from whet.bundle.check import MANIFEST, SEAL, decode_manifest
from whet.bundle.disk import (
    check_room,
    copy_file,
    partial_of,
    place_of,
    staged,
    storage_error,
    write_file,
)
from whet.bundle.draft import BundleDraft, Plan, manifest_of, plan_of
from whet.bundle.files import unlisted
from whet.bundle.manifest import KIND, MANIFEST_LIMITS, FileEntry
from whet.bundle.names import check_names
from whet.bundle.read import Bundle, read_bundle, seal_line
from whet.bundle.strictjson import encode, parse
from whet.errors import BundleError, StorageError, WhetError

__all__ = ["check_place", "check_replaceable", "write_bundle"]

_NAMES = "Name variants, sidecars and extra files with letters, digits, '.', '_' and '-' only."


def write_bundle(where: str | Path, draft: BundleDraft, *, replace: bool = False) -> Bundle:
    """Write a bundle and return it as a reader sees it.

    Args:
        where: its folder; parents are made.
        draft: what to write.
        replace: whether a bundle that stands there may be replaced, in one
            step. Anything else that stands there is never touched.

    Raises:
        BundleError: something stands at ``where``, or the draft can't be a bundle.
        StorageError: a full disk, no permission; nothing is left behind.
    """
    place = place_of(where)
    check_replaceable(place, replace=replace)
    plan = plan_of(draft)
    check_names([MANIFEST, SEAL, *plan.sources], remedy=_NAMES)
    with staged(place, replace=replace) as folder:
        check_room(place.parent, sum(_size(source) for source in plan.sources.values()))
        files = _write_files(folder, plan)
        manifest = encode(manifest_of(draft, plan, files), MANIFEST)
        _must_be_readable(manifest)
        write_file(manifest, folder / MANIFEST)
        write_file(seal_line(manifest), folder / SEAL)
    return read_bundle(place, check_hashes=False)


def check_place(where: Path) -> None:
    """Refuse, before any work is done, a place where a bundle couldn't be written.

    Raises:
        StorageError: something stands there that isn't a bundle, or its folder can't be
            made or written to. No bundle was given that could be refused.
    """
    place = place_of(where)
    try:
        check_replaceable(place, replace=True)
    except BundleError as error:
        raise StorageError(error.message, error.remedy) from error
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place.parent):
            partial_of(place).exists()  # asked since its name may be too long
    except OSError as error:
        raise storage_error(error, place) from error


def check_replaceable(where: Path, *, replace: bool) -> None:
    """Refuse a place where something stands that isn't a bundle and nothing but a bundle.

    Raises:
        BundleError: with the reason.
        StorageError: the system doesn't say what stands there.
    """
    try:
        mode = where.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:  # a folder that may not be searched, a name that is too long
        raise storage_error(error, where) from error
    if not replace:
        raise BundleError(
            f"'{where}' exists already.", "Choose another place, or allow it to be replaced."
        )
    remedy = "Choose another place, or remove it yourself."
    if not stat.S_ISDIR(mode):
        raise BundleError(f"'{where}' is not a bundle and is left alone.", remedy)
    stranger = unlisted(where, _listed_names(where, remedy))
    if stranger is not None:
        raise BundleError(
            f"'{where}' holds '{stranger}', which isn't part of the bundle; it is left alone.",
            remedy,
        )


def _listed_names(where: Path, remedy: str) -> list[str]:
    """Names that a bundle claims, even a damaged one or one of a newer format."""
    manifest = where / MANIFEST
    try:
        if not manifest.is_file() or manifest.stat().st_size > MANIFEST_LIMITS.size_bytes:
            raise BundleError("It has no manifest.", remedy)
        plain = parse(manifest.read_bytes(), MANIFEST, MANIFEST_LIMITS)
    except (OSError, WhetError) as error:
        raise BundleError(f"'{where}' is not a bundle and is left alone.", remedy) from error
    if not isinstance(plain, dict) or plain.get("kind") != KIND:
        raise BundleError(f"'{where}' is not a bundle and is left alone.", remedy)
    files = plain.get("files")
    return list(files) if isinstance(files, dict) else []


def _size(source: Path | bytes) -> int:
    if isinstance(source, bytes):
        return len(source)
    try:
        return source.stat().st_size
    except OSError as error:
        raise _missing(source, error) from error


def _write_files(folder: Path, plan: Plan) -> dict[str, FileEntry]:
    entries = {}
    for name, source in plan.sources.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            entries[name] = write_file(source, target)
            continue
        if not source.is_file():
            raise _missing(source, None)
        try:
            entries[name] = copy_file(source, target)
        except OSError as error:
            raise storage_error(error, target) from error
    return entries


def _missing(source: Path, error: OSError | None) -> BundleError:
    reason = "is no file" if error is None else f"can't be read: {error.strerror}"
    return BundleError(
        f"'{source}' {reason}, so it can't be packed.", "Build the variant again, then pack it."
    )


def _must_be_readable(manifest: bytes) -> None:
    """Hold the writer to the reader's rules, before anything is published."""
    try:
        decode_manifest(manifest)
    except WhetError as error:
        raise BundleError(
            f"The draft can't be a bundle: {error.message}", "Correct the draft."
        ) from error

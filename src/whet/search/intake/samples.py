"""Samples decoded once, and found again only where they are shown to be the same.

A store lies under the digest of what it holds. Beside it, one line for each
thing that was given says which store came of it; it is written only for data
whose identity was the same after the reading as before (`whet.search.intake.sameness`).
Whatever runs code is read again each time, and gives the same store if it
yields the same samples.

Stores that no search has used for a month go when another search begins. A store
is taken into use, and put aside, under a lock on the folder of all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from importlib import metadata
from pathlib import Path

import msgspec

from whet.bundle.disk import locked
from whet.core.places import cache_home
from whet.data.layout import META
from whet.data.store import SampleStore, write_store
from whet.errors import SamplesError
from whet.search.intake.content import store_digest
from whet.search.intake.given import Given
from whet.search.intake.parts import expected, reader_of, transform_of
from whet.search.intake.sameness import identity, transform_identity
from whet.search.ledger.workspace import GONE, OLD_S, here, make_folders, unwritable
from whet.search.stop import Stop
from whet.search.workers.jobs import Described

__all__ = ["clean_samples", "decoded"]

# What decodes, besides what the machine's digest names.
_DECODERS = ("pillow", "tokenizers")


def decoded(
    given: Given, described: Described | None, arrival: Path, stop: Stop
) -> tuple[SampleStore, str]:
    """The samples and the digest of what they are.

    Args:
        given: the samples, unread.
        described: what the network says of its inputs.
        arrival: a folder for those that are read now, on the cache's file system.
        stop: the user's wish to end.

    Raises:
        SamplesError: they can't be read, or the network can't take them.
        StorageError: the cache can't be written.
        Stopped: the user asked to stop.
    """
    home = cache_home() / "samples"
    known = home / "known"
    make_folders(home, known)
    before = _request(given, described)
    if before is not None:
        with contextlib.suppress(OSError, SamplesError), locked(home):
            digest = (known / before).read_text()
            store = _in_use(home / digest[:32])
            os.utime(known / before)
            return store, digest
    reader = reader_of(given, described)
    fresh = write_store(
        reader, arrival / "samples", limit=given.most, seed=given.seed, on_sample=stop.check
    )
    digest = store_digest(fresh.path)
    try:
        with locked(home):
            store = _settled(fresh.path, home / digest[:32])
    except OSError as error:
        raise unwritable(home, error) from error
    if before is not None and _request(given, described) == before:
        _note(known / before, digest)
    return store, digest


def clean_samples(now_s: float | None = None) -> int:
    """Remove the stores that no search has used for a month; returns how many.

    Args:
        now_s: seconds since the epoch; by default this moment.
    """
    home = cache_home() / "samples"
    before_s = (time.time() if now_s is None else now_s) - OLD_S
    gone: list[Path] = []
    with contextlib.suppress(OSError), locked(home):
        gone += home.glob(f"{GONE}*")  # of a search that was killed while it cleaned
        for note in (home / "known").iterdir():
            if note.stat().st_mtime < before_s:
                note.unlink()
        for meta in home.glob(f"[!.]*/{META}"):
            store = meta.parent
            if store.stat().st_mtime < before_s:
                gone.append(store.rename(store.with_name(GONE + store.name)))
    for store in gone:
        shutil.rmtree(store, ignore_errors=True)
    return len(gone)


def _in_use(place: Path) -> SampleStore:
    """Open a store, and say that it is in use; only under the lock."""
    store = SampleStore.open(place)
    os.utime(place)
    return store


def _request(given: Given, described: Described | None) -> str | None:
    """A digest of all that decides what is decoded; ``None`` where code decides it too."""
    samples, labels = identity(given.samples), identity(given.labels)
    if samples is None or labels is None:
        return None
    rest = (
        transform_identity(transform_of(given, described)),
        expected(described, given.transform),
        described.classes if described is not None else (),
        given.label_key,
        given.text_keys,
        given.label_offset,
        given.most,
        given.seed,
        here(),
        [_version(name) for name in _DECODERS],
    )
    whole = msgspec.json.encode((samples, labels, *rest), order="deterministic")
    return hashlib.sha256(whole).hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _settled(fresh: Path, place: Path) -> SampleStore:
    """Give a store its place, unless the same samples lie there already."""
    if place.is_dir():
        with contextlib.suppress(SamplesError):
            return _in_use(place)
        _set_aside(place, fresh.with_name("damaged"))
    try:
        fresh.rename(place)
    except OSError as error:
        if not place.is_dir():  # else another search was faster with the same
            raise unwritable(place, error) from error
    return SampleStore.open(place)


def _set_aside(place: Path, aside: Path) -> None:
    try:
        place.rename(aside)
    except OSError as error:
        raise unwritable(place, error) from error


def _note(file: Path, digest: str) -> None:
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        beside.write_text(digest)
        beside.replace(file)
    except OSError as error:
        raise unwritable(file, error) from error

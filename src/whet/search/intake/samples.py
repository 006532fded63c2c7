"""Samples decoded once, and found again only where they are shown to be the same.

A store lies under the digest of what it holds. Beside it, one line for each
thing that was given says which store came of it; it is written only for data
whose identity was the same after the reading as before (`whet.search.intake.sameness`).
Whatever runs code is read again each time, and gives the same store if it
yields the same samples.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from importlib import metadata
from pathlib import Path

import msgspec

from whet.core.places import cache_home
from whet.data.store import SampleStore, write_store
from whet.errors import SamplesError
from whet.search.intake.content import store_digest
from whet.search.intake.given import Given
from whet.search.intake.parts import expected, reader_of, transform_of
from whet.search.intake.sameness import identity, transform_identity
from whet.search.ledger.workspace import here, make_folders, unwritable
from whet.search.stop import Stop
from whet.search.workers.jobs import Described

__all__ = ["decoded"]

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
        with contextlib.suppress(OSError, SamplesError):
            digest = (known / before).read_text()
            return SampleStore.open(home / digest[:32]), digest
    reader = reader_of(given, described)
    fresh = write_store(
        reader, arrival / "samples", limit=given.most, seed=given.seed, on_sample=stop.check
    )
    digest = store_digest(fresh.path)
    store = _settled(fresh.path, home / digest[:32])
    if before is not None and _request(given, described) == before:
        _note(known / before, digest)
    return store, digest


def _request(given: Given, described: Described | None) -> str | None:
    """A digest of all that decides what is decoded; ``None`` where code decides it too."""
    samples, labels = identity(given.samples), identity(given.labels)
    if samples is None or labels is None:
        return None
    rest = (
        transform_identity(transform_of(given, described)),
        expected(described, given.transform),
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
            return SampleStore.open(place)
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

"""Fill a store from a reader: choose, check, append."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.data.layout import HASHES, LABELS, Meta
from whet.data.readers.labels import check_label
from whet.data.sample import Label, Reader, Sample
from whet.data.transform import pad_values
from whet.data.writing import ColumnWriter, row_hash, writing
from whet.errors import SamplesError

__all__ = ["SCAN_FACTOR", "fill"]

SCAN_FACTOR = 4  # of an endless source, so many times the limit is looked at


def fill(
    reader: Reader,
    folder: Path,
    *,
    limit: int,
    seed: int,
    on_sample: Callable[[], None] | None = None,
) -> Meta:
    """Write all files of a store but ``store.json``, and return what goes into that.

    ``on_sample`` is called for each sample that is kept; it may raise to give up.

    Raises:
        SamplesError: see `whet.data.store.write_store`.
        StorageError: the disk is full.
    """
    rng = np.random.default_rng(seed)
    draft = _Draft(reader, folder, on_sample)
    with contextlib.closing(draft):
        if reader.count is None:
            keep, notes = _reservoir(reader, draft, limit, rng)
        else:
            keep, notes = None, _chosen(reader, reader.count, draft, limit, rng)
        return draft.finish(keep, notes)


def _chosen(
    reader: Reader, count: int, draft: _Draft, limit: int, rng: np.random.Generator
) -> tuple[Note, ...]:
    """Known count: decode only what is kept."""
    picked: NDArray[np.int64] | None = None
    if count > limit:
        picked = np.sort(rng.choice(count, limit, replace=False, shuffle=False)).astype(np.int64)
    with contextlib.closing(reader.read(picked)) as stream:
        for sample in stream:
            draft.append(sample)
    if picked is None:
        return ()
    return (Note(reader.source, f"Of {count:,} samples {limit:,} were drawn at random."),)


def _reservoir(
    reader: Reader, draft: _Draft, limit: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64] | None, tuple[Note, ...]]:
    """Unknown count: Vitter's algorithm R over at most `SCAN_FACTOR` times the limit.

    Kept samples are appended; slots say which append each one holds now.
    """
    scan = SCAN_FACTOR * limit
    slots: list[int] = []
    seen = 0
    with contextlib.closing(reader.read()) as stream:
        for sample in islice(stream, scan):
            seen += 1
            if len(slots) < limit:
                slots.append(draft.append(sample))
            elif (slot := int(rng.integers(seen))) < limit:
                slots[slot] = draft.append(sample)
        ended = seen < scan or next(stream, None) is None
    if seen <= limit:
        return None, ()
    of = f"{seen:,} samples" if ended else f"the first {seen:,} samples, where reading stopped,"
    return np.sort(np.array(slots, np.int64)), (
        Note(reader.source, f"Of {of} {limit:,} were drawn at random."),
    )


@final
class _Draft:
    """The growing files of a store, with labels and hashes in memory."""

    def __init__(self, reader: Reader, folder: Path, on_sample: Callable[[], None] | None) -> None:
        pads = pad_values(reader.transform)
        self._reader, self._folder, self._on_sample = reader, folder, on_sample
        self._names = frozenset(spec.name for spec in reader.inputs)
        self._labels: list[Label] = []
        self._hashes: list[int] = []
        self._columns: list[ColumnWriter] = []
        for number, spec in enumerate(reader.inputs):
            self._columns.append(ColumnWriter(folder, number, spec, pads.get(spec.name, 0)))

    def append(self, sample: Sample) -> int:
        """Add one sample; returns its position among those appended."""
        if self._on_sample is not None:
            self._on_sample()
        self._check_label(sample)
        if len(sample.rows) != self._reader.rows_per_sample:
            raise SamplesError(
                f"{sample.name} has {len(sample.rows)} row(s), the samples before it"
                f" {self._reader.rows_per_sample}.",
                "All samples must be of one kind.",
            )
        for row in sample.rows:
            if not self._names.issuperset(row):
                raise SamplesError(
                    f"{sample.name} gives {', '.join(sorted(set(row) - self._names))} as well.",
                    "All samples must have the same inputs.",
                )
            for column in self._columns:
                column.append(row, sample.name)
        self._hashes.append(row_hash(sample.rows))
        return len(self._hashes) - 1

    def finish(self, keep: NDArray[np.int64] | None, notes: tuple[Note, ...]) -> Meta:
        """Complete all files."""
        if not self._hashes:
            raise SamplesError(f"{self._reader.source} holds no samples.", "Give at least one.")
        reader, kept = self._reader, slice(None) if keep is None else keep
        parts = np.arange(reader.rows_per_sample)
        rows = (
            None if keep is None else (keep[:, None] * reader.rows_per_sample + parts).reshape(-1)
        )
        symbols: dict[bytes, str] = {}
        columns = tuple(column.finish(rows, symbols) for column in self._columns)
        hashes = np.array(self._hashes, np.uint64)[kept]
        with writing(self._folder):
            np.save(self._folder / HASHES, hashes, allow_pickle=False)
            if reader.labelled:
                labels = np.array(self._labels)[kept]
                np.save(self._folder / LABELS, labels, allow_pickle=False)
        return Meta(
            kind="whet-samples",
            version=1,
            source=reader.source,
            columns=columns,
            samples=int(hashes.size),
            rows_per_sample=2 if reader.rows_per_sample == 2 else 1,
            labelled=reader.labelled,
            transform=reader.transform,
            notes=(*reader.notes, *notes),
        )

    def close(self) -> None:
        for column in self._columns:
            column.close()

    def _check_label(self, sample: Sample) -> None:
        if (sample.label is not None) != self._reader.labelled:
            raise SamplesError(
                f"{sample.name} has {'a' if sample.label is not None else 'no'} label,"
                f" the samples before it have {'one' if self._reader.labelled else 'none'}.",
                "Label all samples or none.",
            )
        if sample.label is None:
            return
        label = sample.label
        check_label(label, sample.name)
        if self._labels and isinstance(label, float) != isinstance(self._labels[0], float):
            if isinstance(label, float):
                raise SamplesError(
                    f"The label of {sample.name} is {label}, but those before it are class indices.",
                    "Write scores as floats everywhere (4.0), or name the column 'score'.",
                )
            label = float(label)
        self._labels.append(label)

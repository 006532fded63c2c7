"""Decoded samples on disk, so that children and large sets need no memory.

Rows are read with plain file reads and not through a memory map: mapped pages
would count as resident memory of the process, and a process whose memory is
measured must not be charged for its input file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.core.spec import Arrays, TensorSpec
from whet.data.column import ColumnFile
from whet.data.layout import HASHES, LABELS, META, Meta, StoreRef
from whet.data.sample import Reader
from whet.data.transform import Transform
from whet.data.writer import fill
from whet.data.writing import staged, writing
from whet.errors import SamplesError, StorageError

__all__ = ["SampleStore", "StoreRef", "open_ref", "write_store"]


def write_store(
    reader: Reader,
    where: Path,
    *,
    limit: int,
    seed: int,
    on_sample: Callable[[], None] | None = None,
) -> SampleStore:
    """Decode samples into a new folder ``where``; atomic.

    Of more than ``limit`` samples a seeded uniform draw is kept, in their
    order: by index where the reader knows its count, else by a reservoir over
    the first ``4 * limit``, so that an endless generator comes to an end.
    ``on_sample`` is called for each; what it raises ends the reading, and nothing is left.

    Raises:
        SamplesError: no sample, a damaged one, NaN or infinity, samples that
            don't agree in shape or dtype, labels that are negative or mixed.
        StorageError: the disk is full, or ``where`` exists.
    """
    if limit < 1:
        raise SamplesError(f"At most {limit} samples were asked for.", "Ask for 1 or more.")
    with staged(where) as folder:
        meta = fill(reader, folder, limit=limit, seed=seed, on_sample=on_sample)
        with writing(where):
            (folder / META).write_bytes(msgspec.json.encode(meta))
    return SampleStore.open(where)


def open_ref(ref: StoreRef) -> SampleStore:
    """Open what `SampleStore.ref` named, in any process.

    Raises:
        SamplesError: it is missing or damaged.
    """
    return SampleStore.open(Path(ref.path), None if ref.indices is None else Path(ref.indices))


@final
class SampleStore:
    """Samples on disk, or a view of some of them; implements `whet.core.context.Feed`.

    Counts of *rows* are what a network sees; a *sample* has
    ``rows_per_sample`` rows and one label. Row ``r`` belongs to sample
    ``r // rows_per_sample``. Holds nothing but offsets and labels in memory;
    may be used from several threads at once.

    Attributes:
        path: the folder.
        inputs: the inputs, with the batch axis first.
        transform: that made these inputs from bytes or text.
        rows_per_sample: 1, or 2 for pairs of sentences.
        notes: what was skipped or decided while reading.
        source: what the samples were read from.
    """

    def __init__(
        self,
        path: Path,
        meta: Meta,
        columns: tuple[ColumnFile, ...],
        labels: NDArray[np.generic] | None,
        hashes: NDArray[np.uint64],
        view: tuple[NDArray[np.int64], Path] | None,
    ) -> None:
        self.path = path
        self.inputs: tuple[TensorSpec, ...] = tuple(column.spec for column in meta.columns)
        self.transform: Transform | None = meta.transform
        self.rows_per_sample: int = meta.rows_per_sample
        self.notes: tuple[Note, ...] = meta.notes
        self.source = meta.source
        self._meta, self._columns = meta, columns
        self._view = view
        self._all = labels, hashes
        picked = slice(None) if view is None else view[0]
        self._labels = None if labels is None else labels[picked]
        self._hashes = hashes[picked]

    @staticmethod
    def open(where: Path, indices: Path | None = None) -> SampleStore:
        """Open a store, or the view of it that ``indices`` describes.

        Raises:
            SamplesError: it is missing or damaged.
        """
        try:
            meta = msgspec.json.decode((where / META).read_bytes(), type=Meta)
            columns = tuple(ColumnFile.open(where, column) for column in meta.columns)
            labels = _load(where / LABELS) if meta.labelled else None
            hashes = _load(where / HASHES).astype(np.uint64)
            picked = None if indices is None else _load(indices).astype(np.int64)
        except (OSError, ValueError, EOFError, msgspec.DecodeError) as error:
            raise SamplesError(
                f"The sample store {where} is missing or damaged ({error}).",
                "Read the samples again.",
            ) from error
        rows = meta.samples * meta.rows_per_sample
        fits = all(column.rows == rows for column in columns) and hashes.shape == (meta.samples,)
        if not fits or (labels is not None and labels.shape != (meta.samples,)):
            raise SamplesError(f"The sample store {where} is damaged.", "Read the samples again.")
        if picked is None or indices is None:
            return SampleStore(where, meta, columns, labels, hashes, None)
        _check_picked(picked, meta.samples, indices)
        return SampleStore(where, meta, columns, labels, hashes, (picked, indices))

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self._meta.samples if self._view is None else int(self._view[0].size)

    @property
    def labels(self) -> NDArray[np.generic] | None:
        """One label a sample, int64 class indices or float64 scores; ``None`` without labels."""
        return self._labels

    @property
    def groups(self) -> NDArray[np.int64]:
        """A number for each sample that is equal exactly for copies of the same inputs."""
        _, inverse = np.unique(self._hashes, return_inverse=True)
        return inverse.astype(np.int64)

    def apart_from(self, other: SampleStore) -> NDArray[np.int64]:
        """Indices of the samples whose inputs are among no sample of another store."""
        return np.flatnonzero(~np.isin(self._hashes, other._hashes)).astype(np.int64)

    def __len__(self) -> int:
        return self.samples * self.rows_per_sample

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:
        """Rows in order, ``size`` at a time, at most ``limit``; see `Feed.batches`."""
        if size < 1:
            raise SamplesError(f"A batch of {size} rows was asked for.", "Ask for 1 or more.")
        total = len(self) if limit is None else min(limit, len(self))
        for start in range(0, total, size):
            yield self.rows(np.arange(start, min(start + size, total)))

    def rows(self, indices: NDArray[np.integer]) -> Arrays:
        """The rows at ``indices``, padded to the longest of them; the arrays are the caller's.

        Raises:
            SamplesError: an index is out of range, or the files ended early.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        if wanted.size and (int(wanted.min()) < 0 or int(wanted.max()) >= len(self)):
            raise SamplesError(
                f"A row outside 0-{len(self) - 1} was asked for.", "Stay within the store."
            )
        if self._view is not None:
            sample, part = np.divmod(wanted, self.rows_per_sample)
            wanted = self._view[0][sample] * self.rows_per_sample + part
        return {column.name: column.take(wanted) for column in self._columns}

    def subset(self, samples: NDArray[np.integer], where: Path) -> SampleStore:
        """A view of some samples, in the order given, kept in the index file ``where`` (`.npy`).

        Raises:
            SamplesError: an index is out of range.
            StorageError: the file can't be written.
        """
        picked = np.asarray(samples, dtype=np.int64).reshape(-1)
        _check_picked(picked, self.samples, where)
        if self._view is not None:
            picked = self._view[0][picked]
        if where.suffix != ".npy":
            raise StorageError(f"The index file {where} doesn't end in .npy.", "Name it so.")
        with writing(where):
            where.parent.mkdir(parents=True, exist_ok=True)
            np.save(where, picked, allow_pickle=False)
        found = SampleStore.open(self.path, where)
        held = self._labels is not None and self._labels.dtype.kind in "iu"
        return found.in_classes() if held else found

    def in_classes(self) -> SampleStore:
        """The same samples with labels that are class indices, where all are whole numbers.

        Files and tables often hold class indices as floats. Views of what is given back hold
        integers too.
        """
        labels, hashes = self._all
        if self._labels is None or labels is None or self._labels.dtype.kind in "iu":
            return self
        whole = _classes(labels)
        if whole is None:
            return self
        return SampleStore(self.path, self._meta, self._columns, whole, hashes, self._view)

    def check_labels(self, classes: int) -> None:
        """Refuse class indices that a network with ``classes`` outputs can't give.

        Raises:
            SamplesError: says how many are too large, and the largest, or that one is negative or
                no whole number.
        """
        if self._labels is None:
            return
        labels = _classes(self._labels)
        if labels is None:
            raise SamplesError(
                f"The labels of {self.source} are not all whole numbers, so they name no classes.",
                "Give class numbers, or take the metric 'mae' or 'spearman'.",
            )
        if labels.size and labels.min() < 0:
            raise SamplesError(
                f"Label {labels.min()} of {self.source} is negative; classes count from 0.",
                "Leave such samples out, or shift all labels by --label-offset.",
            )
        beyond = int((labels >= classes).sum())
        if beyond:
            raise SamplesError(
                f"{beyond} of {self.samples} labels of {self.source} are out of range: the largest is"
                f" {labels.max()}, the network has {classes} classes (0-{classes - 1}).",
                "Check that samples and network belong together, and the label offset.",
            )

    def ref(self) -> StoreRef:
        """What `open_ref` needs to open this again."""
        return StoreRef(str(self.path), None if self._view is None else str(self._view[1]))


def _load(path: Path) -> NDArray[np.generic]:
    loaded: NDArray[np.generic] = np.load(path, allow_pickle=False)
    return loaded


def _classes(labels: NDArray[np.generic]) -> NDArray[np.int64] | None:
    """Labels as integers; ``None`` where one is no whole number."""
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64)
    numbers = labels.astype(np.float64)
    whole = bool((np.isfinite(numbers) & (numbers == np.floor(numbers))).all())
    return numbers.astype(np.int64) if whole else None


def _check_picked(picked: NDArray[np.int64], count: int, where: Path) -> None:
    inside = picked.ndim == 1 and (not picked.size or (picked.min() >= 0 and picked.max() < count))
    if not inside:
        raise SamplesError(
            f"The view {where} names samples outside 0-{count - 1}.",
            "Take the indices from the split.",
        )

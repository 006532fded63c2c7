"""Write the rows of a store: append only, checked row by row, never whole in memory.

Values are appended to one flat file an input; only sizes stay in memory (a few
bytes a row). At the end the header is filled in: stacked if all rows had one
shape, flat with offsets if they differed in one axis. Rows that a reservoir
threw out again are dropped by copying the kept ones once.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast, final

import numpy as np
from numpy.typing import NDArray

from whet.core.room import is_full
from whet.core.spec import Arrays, Dim, TensorSpec
from whet.data.layout import HEADER_BYTES, Column, npy_header, offsets_of
from whet.errors import SamplesError, StorageError

__all__ = ["ColumnWriter", "row_hash", "staged", "writing"]

_COPY_BYTES = 4 << 20
_MOST_AXES = 8


@contextlib.contextmanager
def writing(where: Path) -> Iterator[None]:
    """Turn what the system says about a failed write into one sentence.

    Raises:
        StorageError: names the folder.
    """
    try:
        yield
    except OSError as error:
        remedy = (
            "Free some space, or keep fewer samples."
            if is_full(error)
            else "Choose another folder."
        )
        raise StorageError(
            f"The samples can't be written to {where} ({error.strerror or error}).", remedy
        ) from error


@contextlib.contextmanager
def staged(where: Path) -> Iterator[Path]:
    """A folder beside ``where`` that takes its place if all goes well, else vanishes.

    Raises:
        StorageError: ``where`` exists, or can't be written.
    """
    if where.exists():
        raise StorageError(f"{where} exists already.", "Open it, or remove it first.")
    folder = where.with_name(f"{where.name}.partial")
    try:
        with writing(where):
            shutil.rmtree(folder, ignore_errors=True)  # left by a run that was killed
            folder.mkdir(parents=True)
        yield folder
        with writing(where):
            folder.rename(where)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@final
class ColumnWriter:
    """Appends the rows of one input and checks each against the first.

    Args:
        spec: of the reader; a symbol after the batch axis lets rows differ
            there. Sequences (rows with one or two axes) may always differ in
            their first axis.
    """

    def __init__(self, folder: Path, number: int, spec: TensorSpec, pad: int) -> None:
        self._folder, self._spec, self._pad = folder, spec, pad
        self._name = f"input-{number}.npy"
        self._offsets_name = f"offsets-{number}.npy"
        self._dtype = np.dtype(spec.dtype)
        self._dims = spec.shape[1:]
        self._axis = _free_axis(self._dims, spec)
        self._fixed = tuple(dim for axis, dim in enumerate(self._dims) if axis != self._axis)
        self._lengths: list[int] = []
        with writing(folder):
            self._file: IO[bytes] = (folder / self._name).open("w+b")
            self._file.write(bytes(HEADER_BYTES))

    def append(self, row: Arrays, name: str) -> None:
        """Add one row.

        Raises:
            SamplesError: it is missing, of another dtype or shape, or not finite; names the sample.
            StorageError: the disk is full.
        """
        array = row.get(self._spec.name)
        if array is None or array.dtype != self._dtype:
            raise SamplesError(
                f"{name} gives {'nothing' if array is None else array.dtype} for '{self._spec.name}',"
                f" the samples before it {self._dtype}.",
                "All samples must have the same inputs and dtypes.",
            )
        self._check_shape(array.shape, name)
        _check_finite(array, self._spec.name, name)
        with writing(self._folder):
            self._file.write(np.ascontiguousarray(array).data)
        self._lengths.append(1 if self._axis is None else array.shape[self._axis])

    def finish(self, keep: NDArray[np.int64] | None) -> Column:
        """Complete the files, with only the rows ``keep`` (ascending) if given.

        Raises:
            StorageError: the disk is full.
        """
        lengths = np.array(self._lengths, dtype=np.int64)
        unit = int(np.prod([dim for dim in self._fixed if isinstance(dim, int)], dtype=np.int64))
        with writing(self._folder):
            if keep is not None:
                self._compact(keep, offsets_of(lengths * unit) * self._dtype.itemsize)
                lengths = lengths[keep]
            declared = any(isinstance(dim, str) for dim in self._dims)
            if self._axis is None or (not declared and bool((lengths == lengths[0]).all())):
                return self._stacked(lengths)
            return self._ragged(lengths, unit, self._axis)

    def close(self) -> None:
        """Close the file; twice is allowed."""
        with contextlib.suppress(OSError):  # a full disk was already reported by the write
            self._file.close()

    def _stacked(self, lengths: NDArray[np.int64]) -> Column:
        dims = [
            dim if axis != self._axis else int(lengths[0]) for axis, dim in enumerate(self._dims)
        ]
        shape = tuple(dim for dim in dims if isinstance(dim, int))
        self._fill_header((lengths.size, *shape))
        spec = TensorSpec(self._spec.name, self._spec.dtype, ("batch", *shape))
        return Column(spec, self._name, pad=self._pad)

    def _ragged(self, lengths: NDArray[np.int64], unit: int, axis: int) -> Column:
        offsets = offsets_of(lengths * unit)
        self._fill_header((int(offsets[-1]),))
        np.save(self._folder / self._offsets_name, offsets, allow_pickle=False)
        given = self._dims[axis]
        symbol = given if isinstance(given, str) else "length"
        dims = (*self._dims[:axis], symbol, *self._dims[axis + 1 :])
        spec = TensorSpec(self._spec.name, self._spec.dtype, ("batch", *dims))
        return Column(spec, self._name, self._offsets_name, axis, self._pad)

    def _fill_header(self, shape: tuple[int, ...]) -> None:
        self._file.seek(0)
        self._file.write(npy_header(self._dtype, shape))
        self._file.close()

    def _check_shape(self, shape: tuple[int, ...], name: str) -> None:
        fixed = tuple(size for axis, size in enumerate(shape) if axis != self._axis)
        if len(shape) != len(self._dims) or fixed != self._fixed or 0 in shape:
            raise SamplesError(
                f"{name} gives shape {list(shape)} for '{self._spec.name}',"
                f" the samples before it {list(self._dims)}.",
                "All samples must have one shape; only sequences may differ in length.",
            )

    def _compact(self, keep: NDArray[np.int64], begins: NDArray[np.int64]) -> None:
        """Move kept rows to the front; rows only ever move forward, so one file suffices."""
        target = HEADER_BYTES
        for row in map(int, keep):
            source, left = HEADER_BYTES + int(begins[row]), int(begins[row + 1] - begins[row])
            while left:
                self._file.seek(source)
                data = self._file.read(min(left, _COPY_BYTES))
                self._file.seek(target)
                self._file.write(data)
                source, target, left = source + len(data), target + len(data), left - len(data)
        self._file.truncate(target)


def row_hash(rows: tuple[Arrays, ...]) -> int:
    """64 bits over names, shapes and values of a sample's inputs."""
    total = hashlib.blake2b(digest_size=8)
    for row in rows:
        for name in sorted(row):
            total.update(f"{name}{row[name].shape}".encode())
            total.update(np.ascontiguousarray(row[name]).data)
    return int.from_bytes(total.digest(), "little")


def _free_axis(dims: tuple[Dim, ...], spec: TensorSpec) -> int | None:
    free = [axis for axis, dim in enumerate(dims) if isinstance(dim, str)]
    if len(free) > 1 or len(dims) > _MOST_AXES:
        raise SamplesError(
            f"Rows of {spec} differ in {len(free)} axes.",
            "They may differ in one axis, and have at most 8.",
        )
    if free:
        return free[0]
    return 0 if len(dims) in (1, 2) else None


def _check_finite(array: NDArray[np.generic], spec: str, name: str) -> None:
    if array.dtype.kind != "f":
        return
    values = cast("NDArray[np.floating]", array)
    if bool(np.isfinite(values).all()):
        return
    what = "NaN" if bool(np.isnan(values).any()) else "an infinite value"
    raise SamplesError(f"{name} holds {what} in '{spec}'.", "Repair or remove that sample.")

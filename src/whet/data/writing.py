"""Write the rows of a store: append only, checked row by row, never whole in memory.

Values are appended to one flat file an input; only sizes stay in memory (a few
bytes a row). At the end the header is filled in: stacked if all rows had one
shape, flat with offsets if they differed in one axis, which the first row that
differs shows. Rows that a reservoir threw out again are dropped by copying the
kept ones once.
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
from whet.data.shapes import differing, filled, free_axes, shape_remedy, values_beside
from whet.errors import SamplesError, StorageError

__all__ = ["ColumnWriter", "row_hash", "staged", "writing"]

_COPY_BYTES = 4 << 20


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

    Rows may differ in one axis: the length of texts and signals, wherever it stands.

    Args:
        spec: of the reader; where it has symbols after the batch axis, rows may
            differ only there.
    """

    def __init__(self, folder: Path, number: int, spec: TensorSpec, pad: int) -> None:
        self._folder, self._spec, self._pad = folder, spec, pad
        self._name = f"input-{number}.npy"
        self._offsets_name = f"offsets-{number}.npy"
        self._dtype = np.dtype(spec.dtype)
        self._dims = spec.shape[1:]
        self._free = free_axes(self._dims, spec)
        self._axis = self._free[0] if len(self._free) == 1 and self._declared else None
        self._first: tuple[int, ...] | None = None
        self._sizes: list[int] = []  # in values
        with writing(folder):
            self._file: IO[bytes] = (folder / self._name).open("w+b")
            self._file.write(bytes(HEADER_BYTES))

    @property
    def _declared(self) -> bool:
        return any(isinstance(dim, str) for dim in self._dims)

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
        self._sizes.append(array.size)

    def finish(self, keep: NDArray[np.int64] | None, symbols: dict[bytes, str]) -> Column:
        """Complete the files, with only the rows ``keep`` (ascending) if given.

        Args:
            keep: positions of rows.
            symbols: names of the lengths of the inputs before this one. Inputs whose
                rows are equally long share a name; a new one is added.

        Raises:
            StorageError: the disk is full.
        """
        sizes = np.array(self._sizes, dtype=np.int64)
        with writing(self._folder):
            if keep is not None:
                self._compact(keep, offsets_of(sizes) * self._dtype.itemsize)
                sizes = sizes[keep]
            axis, same = self._axis, bool((sizes == sizes[0]).all())
            if axis is None or (same and not self._declared):
                return self._stacked(sizes)
            return self._ragged(sizes, axis, symbols)

    def close(self) -> None:
        """Close the file; twice is allowed."""
        with contextlib.suppress(OSError):  # a full disk was already reported by the write
            self._file.close()

    def _stacked(self, sizes: NDArray[np.int64]) -> Column:
        shape = self._first or ()
        if self._axis is not None:
            length = int(sizes[0]) // values_beside(shape, self._axis)
            shape = (*shape[: self._axis], length, *shape[self._axis + 1 :])
        self._fill_header((sizes.size, *shape))
        spec = TensorSpec(self._spec.name, self._spec.dtype, ("batch", *shape))
        return Column(spec, self._name, pad=self._pad)

    def _ragged(self, sizes: NDArray[np.int64], axis: int, symbols: dict[bytes, str]) -> Column:
        offsets = offsets_of(sizes)
        self._fill_header((int(offsets[-1]),))
        np.save(self._folder / self._offsets_name, offsets, allow_pickle=False)
        given: Dim = self._dims[axis]
        shape: tuple[int, ...] = self._first or ()
        lengths = (sizes // values_beside(shape, axis)).tobytes()
        fresh = f"length_{len(symbols) + 1}" if symbols else "length"
        symbol = given if isinstance(given, str) else symbols.setdefault(lengths, fresh)
        dims: tuple[Dim, ...] = (*shape[:axis], symbol, *shape[axis + 1 :])
        spec = TensorSpec(self._spec.name, self._spec.dtype, ("batch", *dims))
        return Column(spec, self._name, self._offsets_name, axis, self._pad)

    def _fill_header(self, shape: tuple[int, ...]) -> None:
        self._file.seek(0)
        self._file.write(npy_header(self._dtype, shape))
        self._file.close()

    def _check_shape(self, shape: tuple[int, ...], name: str) -> None:
        """See that a row agrees with the first; learn the axis in which it doesn't."""
        first = self._first or filled(self._dims, shape)
        remedy = shape_remedy(shape, first, self._free, self._axis)
        if remedy:
            raise SamplesError(
                f"{name} gives shape {list(shape)} for '{self._spec.name}',"
                f" the samples before it {list(first)}.",
                remedy,
            )
        self._first = first
        self._axis = next(iter(differing(shape, first)), self._axis)

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


def _check_finite(array: NDArray[np.generic], spec: str, name: str) -> None:
    if array.dtype.kind != "f":
        return
    values = cast("NDArray[np.floating]", array)
    if bool(np.isfinite(values).all()):
        return
    what = "NaN" if bool(np.isnan(values).any()) else "an infinite value"
    raise SamplesError(f"{name} holds {what} in '{spec}'.", "Repair or remove that sample.")

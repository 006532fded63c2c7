"""Read rows of one input of a store, stacked or one after another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, final

import numpy as np
from numpy.typing import NDArray

from whet.data.layout import Column
from whet.errors import SamplesError

__all__ = ["ColumnFile"]


@final
class ColumnFile:
    """The file of one input; opened for each read, so nothing has to be closed."""

    def __init__(
        self,
        path: Path,
        column: Column,
        begin: int,
        shape: tuple[int, ...],
        offsets: NDArray[np.int64] | None,
    ) -> None:
        self.name = column.spec.name
        self._path, self._column, self._begin = path, column, begin
        self._dtype = np.dtype(column.spec.dtype)
        self._shape, self._offsets = shape, offsets

    @staticmethod
    def open(folder: Path, column: Column) -> ColumnFile:
        """Check the file's header against the column's description.

        Raises:
            ValueError: they don't agree.
            OSError: a file is missing.
        """
        path = folder / column.file
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                raise ValueError(f"{column.file} has format {version}")
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            begin = stream.tell()
        offsets = None
        if column.offsets is not None:
            offsets = np.load(folder / column.offsets, allow_pickle=False)
        held = path.stat().st_size - begin
        if (
            fortran
            or dtype.name != column.spec.dtype
            or held != int(np.prod(shape)) * dtype.itemsize
        ):
            raise ValueError(f"{column.file} isn't what store.json says")
        if (offsets is None) == (column.axis is not None) or (
            offsets is not None and (offsets.ndim != 1 or int(offsets[-1]) != shape[0])
        ):
            raise ValueError(f"the offsets of {column.file} don't fit it")
        return ColumnFile(path, column, begin, shape, offsets)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self._shape[0] if self._offsets is None else int(self._offsets.size - 1)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.generic]:
        """The rows, padded to the longest of them where they differ.

        Raises:
            SamplesError: the file ended early or vanished.
        """
        try:
            with self._path.open("rb", buffering=0) as stream:
                return (
                    self._stacked(stream, rows)
                    if self._offsets is None
                    else self._padded(stream, rows)
                )
        except OSError as error:
            raise SamplesError(
                f"The samples in {self._path} can't be read ({error.strerror or error}).",
                "Read the samples again.",
            ) from error

    def _stacked(self, stream: IO[bytes], rows: NDArray[np.int64]) -> NDArray[np.generic]:
        out = np.empty((rows.size, *self._shape[1:]), self._dtype)
        size = int(np.prod(self._shape[1:], dtype=np.int64)) * self._dtype.itemsize
        flat = out.reshape(-1).view(np.uint8).data
        for at, row, count in _runs(rows):
            self._fill(stream, row * size, flat[at * size : (at + count) * size])
        return out

    def _padded(self, stream: IO[bytes], rows: NDArray[np.int64]) -> NDArray[np.generic]:
        offsets = self._offsets if self._offsets is not None else np.zeros(1, np.int64)
        axis = self._column.axis or 0
        dims = self._column.spec.shape[1:]
        fixed = [dim for dim in dims if isinstance(dim, int)]
        unit = int(np.prod(fixed, dtype=np.int64))
        lengths = (offsets[rows + 1] - offsets[rows]) // unit
        longest = int(lengths.max()) if rows.size else 0
        shape = [dim if isinstance(dim, int) else longest for dim in dims]
        out = np.full((rows.size, *shape), self._column.pad, self._dtype)
        for i, (row, length) in enumerate(zip(rows.tolist(), lengths.tolist(), strict=True)):
            shape[axis] = length
            values: NDArray[np.generic] = np.empty(shape, self._dtype)
            target = values.reshape(-1).view(np.uint8).data
            self._fill(stream, int(offsets[row]) * self._dtype.itemsize, target)
            # Move the ragged axis to the front of both, where a plain slice reaches it.
            np.moveaxis(out[i], axis, 0)[:length] = np.moveaxis(values, axis, 0)
        return out

    def _fill(self, stream: IO[bytes], start: int, target: memoryview) -> None:
        stream.seek(self._begin + start)
        done = 0
        while done < len(target):
            count = stream.readinto(target[done:])  # type: ignore[attr-defined]  # raw files have it
            if not count:
                raise OSError("the file ends early")
            done += count


def _runs(rows: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Consecutive rows as (position, first row, count)."""
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    at = 0
    for part in np.split(rows, breaks):
        if part.size:
            yield at, int(part[0]), int(part.size)
            at += int(part.size)

"""`.npz` read as a stream: headers checked first, then row after row.

``np.load`` would inflate a whole array at once. Here each member's header is
parsed (never a pickle), checked against the size that the archive states, and
its rows are read one chunk at a time; compressed members are skipped forward.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self, final

import numpy as np
from numpy.typing import NDArray

from whet.errors import SamplesError

__all__ = ["Member", "list_members", "reading"]

_MOST_BYTES_AT_ONCE = 1 << 30
_SKIP_BYTES = 1 << 20
_KINDS = "biuf"
# What numpy and zipfile raise on damaged files.
_FOREIGN = (
    OSError,
    ValueError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    RuntimeError,
    NotImplementedError,
)


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn what numpy and zipfile raise on a damaged file into one sentence.

    Raises:
        SamplesError: names the file.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise SamplesError(f"There is no file {path}.", "Check the path.") from error
    except _FOREIGN as error:
        raise SamplesError(
            f"{path} can't be read ({error}).",
            "Write it again with numpy.savez or savez_compressed.",
        ) from error


def list_members(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]:
    """Names of the arrays in an archive with their shapes and dtypes; no data is read.

    Raises:
        SamplesError: unreadable, or an array holds anything but plain numbers.
    """
    found: dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]] = {}
    with reading(path), zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    for name in names:
        with Member(path, name.removesuffix(".npy")) as member:
            found[member.name] = (member.shape, member.dtype)
    return found


@final
class Member:
    """One array of an archive, read forward; a context manager.

    Raises:
        SamplesError: unreadable, objects inside, or a size that the archive doesn't hold.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with reading(path):
            self._archive = zipfile.ZipFile(path)
        try:
            self._open()
        except BaseException:
            self._archive.close()
            raise

    def _open(self) -> None:
        with reading(self.path):
            names = set(self._archive.namelist())
            info = self._archive.getinfo(self.name if self.name in names else f"{self.name}.npy")
            self._stream: IO[bytes] = self._archive.open(info)
            shape, fortran, dtype = _header(self._stream)
        self._start = self._stream.tell()
        self.shape, self.dtype = shape, dtype
        if dtype.hasobject or dtype.kind not in _KINDS:
            what = "Python objects" if dtype.hasobject else f"{dtype} values"
            raise SamplesError(
                f"The array '{self.name}' in {self.path} holds {what}.",
                "Only plain integers and floats are read; nothing is ever unpickled.",
            )
        if info.file_size - self._start != math.prod(shape) * dtype.itemsize:
            raise SamplesError(
                f"The array '{self.name}' in {self.path} states shape {shape} but holds"
                f" {info.file_size - self._start:,} bytes.",
                "The file is damaged; write it again.",
            )
        self._row = math.prod(shape[1:]) * dtype.itemsize
        self._whole: NDArray[np.generic] | None = None
        if fortran and len(shape) > 1:
            self._whole = self._read_whole(shape, dtype)
        elif self._row > _MOST_BYTES_AT_ONCE:
            raise SamplesError(
                f"One row of '{self.name}' in {self.path} takes {self._row:,} bytes.",
                "Rows lie along the first axis.",
            )

    def _read_whole(
        self, shape: tuple[int, ...], dtype: np.dtype[np.generic]
    ) -> NDArray[np.generic]:
        """A Fortran-ordered array can't be read row by row."""
        size = math.prod(shape) * dtype.itemsize
        if size > _MOST_BYTES_AT_ONCE:
            raise SamplesError(
                f"The array '{self.name}' in {self.path} is Fortran-ordered and too large to turn.",
                "Save it through numpy.ascontiguousarray.",
            )
        with reading(self.path):
            flat = np.frombuffer(self._stream.read(size), dtype=dtype)
        return flat.reshape(shape, order="F")

    def rows(self, start: int, count: int) -> NDArray[np.generic]:
        """Rows ``start`` to ``start + count``; fastest when called with ascending starts.

        Raises:
            SamplesError: the file ends early or its checksum is wrong.
        """
        if self._whole is not None:
            return np.ascontiguousarray(self._whole[start : start + count])
        with reading(self.path):
            self._forward(self._start + start * self._row)
            data = self._stream.read(count * self._row)
            if len(data) != count * self._row:
                raise EOFError(f"'{self.name}' ends early")
        values: NDArray[np.generic] = np.frombuffer(data, dtype=self.dtype)
        return values.reshape(count, *self.shape[1:]).astype(
            self.dtype.newbyteorder("="), copy=False
        )

    def _forward(self, position: int) -> None:
        """As ``seek``, which would inflate 16 MiB at a time."""
        here = self._stream.tell()
        if position < here:
            self._stream.seek(0)
            here = 0
        while here < position:
            skipped = len(self._stream.read(min(position - here, _SKIP_BYTES)))
            if not skipped:
                raise EOFError(f"'{self.name}' ends early")
            here += skipped

    def close(self) -> None:
        """Close the archive; twice is allowed."""
        self._archive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"array format {version} is not one of plain numbers")

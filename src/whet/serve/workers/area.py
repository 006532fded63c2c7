"""Memory that a server and one worker have mapped: tensors are written once and read where they lie.

It has no name, so nobody else can map it, and it is gone when the last of the two is.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays
from whet.errors import EngineError
from whet.serve.workers.messages import Tensor

__all__ = ["Area", "rows_of"]

_FIRST_BYTES = 1 << 20
_ALIGN = 64  # bytes, as vector units like it


def rows_of(arrays: Mapping[str, NDArray[np.generic]]) -> int:
    """Rows of a question; at least 1."""
    return max((len(array) for array in arrays.values() if array.ndim), default=1) or 1


@final
class Area:
    """The memory behind an open file descriptor.

    Args:
        descriptor: of a memory file; it belongs to the area.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, max(_FIRST_BYTES, os.fstat(descriptor).st_size))

    @classmethod
    def make(cls) -> Area:
        """New memory, which a child inherits by its descriptor."""
        descriptor = os.memfd_create("whet-tensors", 0)
        os.ftruncate(descriptor, _FIRST_BYTES)
        return cls(descriptor)

    @property
    def descriptor(self) -> int:
        """To be inherited."""
        return self._descriptor

    def write(
        self, arrays: Mapping[str, NDArray[np.generic]], at: int = 0
    ) -> tuple[tuple[Tensor, ...], int]:
        """Copy arrays to where there is room from ``at`` on.

        Returns:
            Where they lie, and where there is room behind them.
        """
        tensors: list[Tensor] = []
        for name, array in arrays.items():
            at = -(-at // _ALIGN) * _ALIGN
            tensors.append(Tensor(name, array.dtype.str, array.shape, at))
            at += array.nbytes
        self._need(at)
        for tensor in tensors:
            self._view(tensor)[...] = arrays[tensor.name]
        return tuple(tensors), at

    def read(self, tensors: Sequence[Tensor]) -> Arrays:
        """Arrays as they lie there; they change when something else is written.

        Raises:
            EngineError: they can't lie there.
        """
        for tensor in tensors:
            dtype = np.dtype(tensor.dtype)
            size = math.prod(tensor.shape) * dtype.itemsize
            if dtype.hasobject or min((tensor.at, *tensor.shape)) < 0:
                raise EngineError("A worker process described what is no tensor.")
            self._need(tensor.at + size, grow=False)
        return {tensor.name: self._view(tensor) for tensor in tensors}

    def close(self) -> None:
        """Let go of it; arrays that were read stay readable."""
        with contextlib.suppress(BufferError):
            self._map.close()
        os.close(self._descriptor)

    def _view(self, tensor: Tensor) -> NDArray[np.generic]:
        dtype, count = np.dtype(tensor.dtype), math.prod(tensor.shape)
        if not count:
            return np.empty(tensor.shape, dtype)
        return np.frombuffer(self._map, dtype, count, tensor.at).reshape(tensor.shape)

    def _need(self, size: int, *, grow: bool = True) -> None:
        """Have at least so many bytes mapped; the other side may have made them."""
        if size <= len(self._map):
            return
        have = os.fstat(self._descriptor).st_size
        if size > have:
            if not grow:
                raise EngineError("A worker process described a tensor beyond its memory.")
            have = max(size, 2 * have)
            os.ftruncate(self._descriptor, have)
        before, self._map = self._map, mmap.mmap(self._descriptor, have)
        with contextlib.suppress(BufferError):  # someone still reads there
            before.close()

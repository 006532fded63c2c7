"""Whether a graph can take inputs of these sizes, asked before OpenVINO computes with them.

On a single thread OpenVINO 2026.4's CPU plugin loses the exception that its
shape inference throws: `infer` returns as if all were well, with the answer of
the request before, and may have written past the end of a buffer. (On two
threads it raises.) So an engine that runs on one thread and takes any size
first has each new size inferred on the graph itself, which costs some
milliseconds once per size.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Signature

if TYPE_CHECKING:
    import openvino

__all__ = ["SizeCheck"]

# More sizes than a service sees; the set can't be grown without end by whoever sends requests.
_MOST_KNOWN = 65_536

Shapes = tuple[tuple[int, ...], ...]


@final
class SizeCheck:
    """Knows the sizes that a graph can take. May be asked from several threads.

    Args:
        read: reads the graph; called once, when the first size is checked.
        signature: names its inputs.
    """

    def __init__(self, read: Callable[[], openvino.Model], signature: Signature) -> None:
        self._read = read
        self._names = tuple(spec.name for spec in signature.inputs)
        self._known: set[Shapes] = set()
        self._model: openvino.Model | None = None
        self._mutex = threading.Lock()

    def admit(self, arrays: Sequence[NDArray[np.generic]]) -> None:
        """Pass if the graph can take arrays of these shapes, in the signature's order.

        Raises:
            RuntimeError: OpenVINO's own, with the operator that can't.
        """
        shapes = tuple(array.shape for array in arrays)
        if shapes in self._known:
            return
        with self._mutex:
            if self._model is None:
                self._model = self._read()
            self._model.reshape(
                {name: list(shape) for name, shape in zip(self._names, shapes, strict=True)}
            )
            if len(self._known) < _MOST_KNOWN:
                self._known.add(shapes)

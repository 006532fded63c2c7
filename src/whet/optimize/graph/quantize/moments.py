"""Second moments of what each layer takes in, gathered while calibration rows run.

For a matrix product these are the moments of its input rows; for a convolution,
of the patches that its kernel looks at, of which a sample does: patches of one picture
are much alike. Only the moments of a few layers are alive at a time.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.spec import Arrays
from whet.errors import EngineError
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx

__all__ = ["Intake", "Window", "gather", "in_portions"]

Floats = NDArray[np.float32]

_PORTION_BYTES = 400 << 20
_AT_ONCE = 1024  # vectors per product
_LEAST = 4096  # vectors a layer's moments are made of, where there are so many
_A_SIZE = 2  # and at least so many times its inputs


@dataclass(frozen=True)
class Window:
    """Where the kernel of a convolution looks; one number a spatial axis.

    Attributes:
        pads: before and after; ``None`` keeps the size (divided by the stride).
        lower: whether of an odd number of pads the larger half stands before (``SAME_LOWER``).
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...] | None
    lower: bool = False

    def patches(self, x: Floats, most: int, generator: np.random.Generator) -> Floats:
        """At most ``most`` patches of one sample, (channels, *sizes): (patches, channels * kernel)."""
        reach = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        pads = self.pads or tuple(
            _same(size, stride, wide, lower=self.lower)
            for size, stride, wide in zip(x.shape[1:], self.strides, reach, strict=True)
        )
        padded = np.pad(x, ((0, 0), *pads))
        sizes = [
            (size - wide) // stride + 1
            for size, wide, stride in zip(padded.shape[1:], reach, self.strides, strict=True)
        ]
        total = math.prod(max(0, size) for size in sizes)
        if total == 0:
            return np.empty((0, len(x) * math.prod(self.kernel)), np.float32)
        chosen = generator.permutation(total)[:most] if total > most else np.arange(total)
        axes = len(sizes)
        indices: list[NDArray[np.int64]] = []
        for axis, corner in enumerate(np.unravel_index(chosen, sizes)):
            offsets = np.arange(self.kernel[axis]) * self.dilations[axis]
            shape = [len(chosen)] + [1] * axes
            shape[1 + axis] = len(offsets)
            indices.append((corner[:, None] * self.strides[axis] + offsets[None]).reshape(shape))
        everywhere: tuple[Any, ...] = (slice(None), *indices)
        taken = padded[everywhere]  # (channels, patches, *kernel)
        rows: Floats = np.moveaxis(taken, 1, 0).reshape(len(chosen), -1)
        return rows


def _same(size: int, stride: int, reach: int, *, lower: bool) -> tuple[int, int]:
    missing = max(0, (-(-size // stride) - 1) * stride + reach - size)
    less = missing // 2
    return (missing - less, less) if lower else (less, missing - less)


@dataclass(frozen=True)
class Intake:
    """What one layer takes in.

    Attributes:
        value: the name of its input in the graph.
        size: numbers that one output depends on.
        groups: of a convolution, each with inputs of its own.
        window: of a convolution; ``None`` for a matrix product, whose last axis is taken.
    """

    value: str
    size: int
    groups: int = 1
    window: Window | None = None

    @property
    def moment_bytes(self) -> int:
        """Of its moments."""
        return 4 * self.groups * self.size**2

    def vectors(self, x: NDArray[np.generic], most: int, generator: np.random.Generator) -> Floats:
        """At most about ``most`` vectors of a batch: (vectors, groups * size)."""
        values = np.asarray(x, np.float32)
        if self.window is None:
            rows = values.reshape(-1, values.shape[-1])
            chosen = generator.permutation(len(rows))[:most] if len(rows) > most else slice(None)
            return rows[chosen]
        found = [self.window.patches(sample, most, generator) for sample in values]
        return (
            np.concatenate(found) if found else np.empty((0, self.groups * self.size), np.float32)
        )


def in_portions(layers: Iterable[Intake]) -> Iterator[tuple[Intake, ...]]:
    """Layers in order, as many at a time as keep their moments within some hundred megabytes."""
    portion: list[Intake] = []
    held = 0
    for layer in layers:
        if portion and held + layer.moment_bytes > _PORTION_BYTES:
            yield tuple(portion)
            portion, held = [], 0
        portion.append(layer)
        held += layer.moment_bytes
    if portion:
        yield tuple(portion)


def gather(
    model: onnx.ModelProto,
    layers: Sequence[Intake],
    rows: Iterable[Arrays],
    count: int,
    *,
    threads: int,
    seed: int,
) -> tuple[NDArray[np.float32], ...]:
    """The mean of ``x x^T`` of each layer, (groups, size, size); zeros where nothing came.

    Args:
        model: float ONNX graph; left as it is.
        layers: of it.
        rows: calibration inputs.
        count: how many there are.
        threads: for the runs.
        seed: of the choice of patches.

    Raises:
        EngineError: the graph can't be run.
    """
    generator = np.random.default_rng(seed)
    sums = [_Sum(layer) for layer in layers]
    most = [-(-max(_LEAST, _A_SIZE * each.size) // max(1, count)) for each in layers]
    names = sorted({each.value for each in layers})
    for values in _values(model, names, rows, threads):
        for layer, total, limit in zip(layers, sums, most, strict=True):
            total.add(layer.vectors(values[layer.value], limit, generator))
    return tuple(total.mean() for total in sums)


class _Sum:
    """The sum of ``x x^T`` over vectors, many of them at a time: the sum is large, vectors are not."""

    def __init__(self, layer: Intake) -> None:
        self._shape = layer.groups, layer.size
        self._total = np.zeros((layer.groups, layer.size, layer.size), np.float32)
        self._waiting: list[Floats] = []
        self._seen = 0

    def add(self, vectors: Floats) -> None:
        self._waiting.append(vectors)
        self._seen += len(vectors)
        if sum(map(len, self._waiting)) >= _AT_ONCE:
            self._take_up()

    def mean(self) -> Floats:
        self._take_up()
        return self._total / np.float32(max(1, self._seen))

    def _take_up(self) -> None:
        if self._waiting:
            vectors = np.concatenate(self._waiting)
            parts = vectors.reshape(len(vectors), *self._shape).transpose(1, 2, 0)
            self._total += parts @ parts.transpose(0, 2, 1)
            self._waiting.clear()


def _values(
    model: onnx.ModelProto, names: Sequence[str], rows: Iterable[Arrays], threads: int
) -> Iterator[dict[str, NDArray[np.generic]]]:
    ort = require("onnxruntime", "run a graph")
    onnx = require("onnx", "edit a graph")
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    fed = {value.name for value in opened.graph.input}
    stated = {value.name for value in opened.graph.output} | fed
    opened.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in stated
    )
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    inner = [name for name in names if name not in fed]
    with _told():
        session = ort.InferenceSession(
            opened.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    for row in rows:
        with _told():
            # Asked for no value, it would compute all of the graph's outputs.
            found = session.run(inner, dict(row)) if inner else []
        yield {**row, **dict(zip(inner, found, strict=True))}


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise EngineError(
            f"The graph can't be run to look at its layers: {first_line(error)}.",
            "Leave the pass 'round-weights' out.",
        ) from error

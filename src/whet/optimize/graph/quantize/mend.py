"""What NNCF writes into ONNX graphs, brought into the form that the format asks for.

NNCF's ONNX back end was written for convolutions of pictures and for matrix products.
Elsewhere it writes what the checker or a runtime refuses:

- scales along one axis with more than one dimension, which ONNX doesn't know;
- weights of three dimensions (Conv1d) with a scale for every pair of an output and an
  input, where the format has one axis only: those are rounded here, a scale a channel;
- blocks along axis 0, whichever axis they run along (``Gemm`` with ``transB``);
- no more float weights where a branch, a loop body or an output still reads them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.optimize.graph.names import subgraphs

if TYPE_CHECKING:
    import onnx

__all__ = ["mend"]

_QUANTISED = "_quantized"  # NNCF's ending for the integers of a weight


def mend(model: onnx.ModelProto, original: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    """Mend a graph that NNCF has quantised, in place.

    Args:
        model: what NNCF gave.
        original: reads the graph that NNCF was given; asked only where it is needed.
    """
    floats = _Floats(original)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in tensors:
            _mend_scales(node, tensors, floats)
    for name in sorted(_missing(model)):
        if (tensor := floats.get(name)) is not None:
            model.graph.initializer.append(tensor)
    return model


class _Floats:
    """The weights before quantisation; read when the first of them is asked for."""

    def __init__(self, original: Callable[[], onnx.ModelProto]) -> None:
        self._original = original
        self._tensors: dict[str, onnx.TensorProto] | None = None

    def get(self, name: str) -> onnx.TensorProto | None:
        if self._tensors is None:
            self._tensors = {tensor.name: tensor for tensor in self._original().graph.initializer}
        return self._tensors.get(name)


def _mend_scales(
    node: onnx.NodeProto, tensors: dict[str, onnx.TensorProto], floats: _Floats
) -> None:
    weight, scale = tensors[node.input[0]], tensors.get(node.input[1])
    if scale is None:
        return
    settings = {attribute.name: attribute for attribute in node.attribute}
    block = settings["block_size"].i if "block_size" in settings else 0
    if block:
        axis = _block_axis(tuple(weight.dims), tuple(scale.dims), block)
        if axis is not None:
            settings["axis"].i = axis
        return
    narrow = [tensors[name] for name in node.input[1:] if name in tensors]
    if len(scale.dims) < 2:
        return
    if max(scale.dims) == math.prod(scale.dims):
        for tensor in narrow:
            tensor.dims[:] = [math.prod(tensor.dims)]
        return
    before = floats.get(weight.name.removesuffix(_QUANTISED))
    if before is not None:
        axis = settings["axis"].i if "axis" in settings else 1
        _round_again(weight, narrow, before, axis % len(weight.dims))


def _block_axis(weight: tuple[int, ...], scale: tuple[int, ...], block: int) -> int | None:
    """The axis along which the scales are fewer than the weights, by the size of a block."""
    for axis in range(len(weight)):
        wanted = (*weight[:axis], math.ceil(weight[axis] / block), *weight[axis + 1 :])
        if wanted == scale:
            return axis
    return None


def _round_again(
    weight: onnx.TensorProto, narrow: list[onnx.TensorProto], before: onnx.TensorProto, axis: int
) -> None:
    """Round a weight to 8 bits with one scale (and zero point) for each index of an axis."""
    onnx = require("onnx", "edit a quantised graph")
    values = np.asarray(onnx.numpy_helper.to_array(before), dtype=np.float64)
    whole = onnx.numpy_helper.to_array(weight).dtype
    limits = np.iinfo(whole)
    others = tuple(i for i in range(values.ndim) if i != axis)
    if len(narrow) > 1:  # with a zero point: from the least to the greatest value, 0 among them
        low = np.minimum(values.min(axis=others, keepdims=True), 0)
        high = np.maximum(values.max(axis=others, keepdims=True), 0)
        scale = _no_zeros((high - low) / (int(limits.max) - int(limits.min)))
        zero = np.rint(limits.min - low / scale)
    else:
        scale = _no_zeros(np.abs(values).max(axis=others, keepdims=True) / int(limits.max))
        zero = np.zeros_like(scale)
    rounded = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
    _put(weight, rounded.astype(whole))
    for tensor, array in zip(narrow, (scale, zero), strict=False):
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        _put(tensor, array.reshape(-1).astype(kind))


def _no_zeros(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(scale > 0, scale, 1.0)


def _put(tensor: onnx.TensorProto, values: NDArray[np.generic]) -> None:
    onnx = require("onnx", "edit a quantised graph")
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _missing(model: onnx.ModelProto) -> set[str]:
    """Names that something reads and nothing makes."""
    made, read = {""}, {value.name for value in model.graph.output}
    for graph in subgraphs(model.graph):
        made |= {value.name for value in graph.input}
        made |= {tensor.name for tensor in graph.initializer}
        made |= {tensor.values.name for tensor in graph.sparse_initializer}
        for node in graph.node:
            made.update(node.output)
            read.update(node.input)
    return read - made

"""Folding ``y * a + b`` a channel into the convolution or matrix before it.

A linear operator followed by an affine map a channel is again a linear
operator: with weights ``W[o, ...]`` and bias ``c[o]``,

    a[o] * (W[o] * x + c[o]) + b[o]  =  (a[o] W[o]) * x + (a[o] c[o] + b[o]).

`BatchNormalization` is such a map with ``a = gamma / sqrt(var + eps)`` and
``b = beta - a * mean``. The new weights are computed in float64 and rounded once.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.optimize.graph.names import subgraphs, unused_name, value_names

if TYPE_CHECKING:
    import onnx

__all__ = ["fold_affine"]

Floats = NDArray[np.float64]

_LINEAR = {"Conv", "ConvTranspose", "Gemm"}
_AFFINE = {"BatchNormalization", "Mul", "Add", "Sub", "Div"}


@dataclass(frozen=True)
class _Map:
    """``y * scale + shift`` a channel."""

    scale: Floats
    shift: Floats


class _Values:
    """What is known of a graph's values, kept up to date while it is folded.

    Attributes:
        constants: the weights by name.
        uses: how often each value is read, in the graphs inside and as an output too.
        makers: the node behind each value.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.uses = Counter(
            name for part in subgraphs(graph) for node in part.node for name in node.input
        )
        self.uses.update(value.name for value in graph.output)
        self.makers = {name: node for node in graph.node for name in node.output}
        self._names = value_names(graph)
        self._loose: set[str] = set()

    def add(self, values: Floats, like: onnx.TensorProto, ending: str) -> str:
        """A new weight of the type of ``like``; its name."""
        onnx = require("onnx", "fold a graph")
        name = unused_name(self._names, f"{like.name}_{ending}")
        kind = onnx.helper.tensor_dtype_to_np_dtype(like.data_type)
        self._graph.initializer.append(onnx.numpy_helper.from_array(values.astype(kind), name))
        self.constants[name] = self._graph.initializer[-1]
        self._names.add(name)
        return name

    def read(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        """Let a node read other values."""
        self._loose.update(node.input)
        self.uses.subtract(node.input)
        self.uses.update(inputs)
        node.input[:] = inputs

    def drop(self, nodes: set[int]) -> None:
        """Take out nodes by their places, and the weights that were read and no longer are."""
        for place in sorted(nodes, reverse=True):
            del self._graph.node[place]
        for place in range(len(self._graph.initializer) - 1, -1, -1):
            name = self._graph.initializer[place].name
            if name in self._loose and not self.uses[name]:
                del self._graph.initializer[place]


def fold_affine(model: onnx.ModelProto) -> Counter[str]:
    """Fold all that can be folded, in place; how many of each ``"Conv + Mul"``.

    One walk in the order of execution is enough: a map is folded into what stands before
    it, so that only maps behind it can become foldable.
    """
    done: Counter[str] = Counter()
    values = _Values(model.graph)
    gone: set[int] = set()
    for place, node in enumerate(model.graph.node):
        linear = _linear(node, values)
        if linear is not None:
            done[f"{linear.op_type} + {node.op_type}"] += 1
            gone.add(place)
    values.drop(gone)
    return done


def _linear(node: onnx.NodeProto, values: _Values) -> onnx.NodeProto | None:
    """Fold a node into the one before it where that can be done; that one then stands for both."""
    constants = values.constants
    if node.op_type not in _AFFINE or node.domain or len([n for n in node.output if n]) != 1:
        return None
    source, constant = _operands(node, constants)
    linear = values.makers.get(source)
    if linear is None or linear.op_type not in _LINEAR or linear.domain or values.uses[source] != 1:
        return None
    weight = constants.get(linear.input[1])
    bias_name = linear.input[2] if len(linear.input) > 2 else ""
    if weight is None or (bias_name and bias_name not in constants) or not _is_plain(linear):
        return None
    channels, rank = _channels(linear, weight)
    if bias_name and not _is_per_channel(constants[bias_name], channels):
        return None
    affine = _affine(node, constant, constants, channels, rank)
    if affine is None:
        return None
    _rewrite(linear, values, affine)
    values.read(node, [])
    linear.output[0] = node.output[0]
    values.makers[node.output[0]] = linear
    return linear


def _operands(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> tuple[str, onnx.TensorProto | None]:
    """The value that isn't constant, and the constant (none for BatchNormalization)."""
    if node.op_type == "BatchNormalization":
        return node.input[0], None
    left, right = node.input[0], node.input[1]
    if right in constants:
        return left, constants[right]
    if left in constants and node.op_type in {"Mul", "Add"}:
        return right, constants[left]
    return "", None


def _attribute(node: onnx.NodeProto, name: str, otherwise: float) -> float:
    for attribute in node.attribute:
        if attribute.name == name:
            return float(attribute.f if attribute.type == attribute.FLOAT else attribute.i)
    return otherwise


def _is_plain(linear: onnx.NodeProto) -> bool:
    if linear.op_type == "ConvTranspose":
        return _attribute(linear, "group", 1) == 1
    if linear.op_type == "Gemm":
        return _attribute(linear, "alpha", 1.0) == 1.0 and _attribute(linear, "beta", 1.0) == 1.0
    return True


def _channel_axis(linear: onnx.NodeProto) -> int:
    if linear.op_type == "Conv":
        return 0
    if linear.op_type == "Gemm":
        return 0 if _attribute(linear, "transB", 0) else 1
    return 1


def _channels(linear: onnx.NodeProto, weight: onnx.TensorProto) -> tuple[int, int]:
    """Number of output channels, and the rank of the output."""
    return weight.dims[_channel_axis(linear)], len(weight.dims)


def _is_per_channel(bias: onnx.TensorProto, channels: int) -> bool:
    """Whether it adds one value a channel; that of a Gemm may have one a row, or one each."""
    return math.prod(bias.dims[:-1]) == 1 and math.prod(bias.dims[-1:]) in {1, channels}


def _array(tensor: onnx.TensorProto) -> Floats:
    onnx = require("onnx", "fold a graph")
    return np.asarray(onnx.numpy_helper.to_array(tensor), dtype=np.float64)


def _affine(
    node: onnx.NodeProto,
    constant: onnx.TensorProto | None,
    constants: dict[str, onnx.TensorProto],
    channels: int,
    rank: int,
) -> _Map | None:
    ones, zeros = np.ones(channels), np.zeros(channels)
    if node.op_type == "BatchNormalization":
        parts = [constants.get(name) for name in node.input[1:5]]
        if any(part is None for part in parts) or _attribute(node, "training_mode", 0):
            return None
        gamma, beta, mean, variance = (_array(part) for part in parts if part is not None)
        scale = gamma / np.sqrt(variance + _attribute(node, "epsilon", 1e-5))
        return _Map(scale, beta - scale * mean)
    if constant is None:
        return None
    value = _per_channel(_array(constant), channels, rank)
    if value is None:
        return None
    if node.op_type == "Mul":
        return _Map(value, zeros)
    if node.op_type == "Div":
        return _Map(1.0 / value, zeros) if np.all(value != 0) else None
    return _Map(ones, value if node.op_type == "Add" else -value)


def _per_channel(value: Floats, channels: int, rank: int) -> Floats | None:
    """One value a channel, if that is how the constant is broadcast over (batch, channels, ...)."""
    if value.size == 1 and value.ndim <= rank:
        return np.full(channels, value.reshape(()).item())
    if value.ndim > rank:
        return None
    shape = (1,) * (rank - value.ndim) + value.shape
    return value.reshape(-1) if shape == (1, channels, *(1,) * (rank - 2)) else None


def _rewrite(linear: onnx.NodeProto, values: _Values, affine: _Map) -> None:
    tensor = values.constants[linear.input[1]]
    weight = _array(tensor)
    axis = _channel_axis(linear)
    shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
    has_bias = len(linear.input) > 2 and bool(linear.input[2])
    bias = _array(values.constants[linear.input[2]]).reshape(-1) if has_bias else np.zeros(1)
    # A weight that others use as well stays; the new one gets a name of its own.
    folded = tensor.name
    if not np.all(affine.scale == 1):
        folded = values.add(weight * affine.scale.reshape(shape), tensor, "folded")
    moved = np.broadcast_to(bias, affine.scale.shape) * affine.scale + affine.shift
    values.read(linear, [linear.input[0], folded, values.add(moved, tensor, "bias")])

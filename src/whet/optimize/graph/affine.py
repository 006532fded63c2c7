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
from whet.optimize.graph.names import fresh_name, subgraphs

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


def fold_affine(model: onnx.ModelProto) -> Counter[str]:
    """Fold all that can be folded, in place; how many of each ``"Conv + Mul"``."""
    done: Counter[str] = Counter()
    while (folded := _fold_one(model.graph)) is not None:
        done[folded] += 1
    return done


def _fold_one(graph: onnx.GraphProto) -> str | None:
    constants = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for part in subgraphs(graph) for node in part.node for name in node.input)
    uses.update(value.name for value in graph.output)
    makers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type not in _AFFINE or node.domain or len([n for n in node.output if n]) != 1:
            continue
        source, constant = _operands(node, constants)
        linear = makers.get(source)
        if linear is None or linear.op_type not in _LINEAR or linear.domain or uses[source] != 1:
            continue
        weight = constants.get(linear.input[1])
        bias_name = linear.input[2] if len(linear.input) > 2 else ""
        if weight is None or (bias_name and bias_name not in constants) or not _is_plain(linear):
            continue
        channels, rank = _channels(linear, weight)
        if bias_name and not _is_per_channel(constants[bias_name], channels):
            continue
        affine = _affine(node, constant, constants, channels, rank)
        if affine is None:
            continue
        _rewrite(graph, linear, constants, affine)
        linear.output[0] = node.output[0]
        graph.node.remove(node)
        _drop(graph, {*node.input, weight.name, bias_name} - {source, ""})
        return f"{linear.op_type} + {node.op_type}"
    return None


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


def _rewrite(
    graph: onnx.GraphProto,
    linear: onnx.NodeProto,
    constants: dict[str, onnx.TensorProto],
    affine: _Map,
) -> None:
    onnx = require("onnx", "fold a graph")
    tensor = constants[linear.input[1]]
    weight = _array(tensor)
    axis = _channel_axis(linear)
    shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
    kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    has_bias = len(linear.input) > 2 and bool(linear.input[2])
    bias = _array(constants[linear.input[2]]).reshape(-1) if has_bias else np.zeros(1)
    # A weight that others use as well stays; the new one gets a name of its own.
    if not np.all(affine.scale == 1):
        name = fresh_name(graph, f"{tensor.name}_folded")
        graph.initializer.append(
            onnx.numpy_helper.from_array((weight * affine.scale.reshape(shape)).astype(kind), name)
        )
        linear.input[1] = name
    name = fresh_name(graph, f"{tensor.name}_bias")
    moved = np.broadcast_to(bias, affine.scale.shape) * affine.scale + affine.shift
    graph.initializer.append(onnx.numpy_helper.from_array(moved.astype(kind), name))
    del linear.input[2:]
    linear.input.append(name)


def _drop(graph: onnx.GraphProto, names: set[str]) -> None:
    used = {name for part in subgraphs(graph) for node in part.node for name in node.input}
    used |= {value.name for value in graph.output}
    for tensor in [t for t in graph.initializer if t.name in names - used]:
        graph.initializer.remove(tensor)

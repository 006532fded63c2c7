"""The weights that rounding and storing are about: of convolutions, products, recurrent layers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.note import Note
from whet.optimize.graph.names import subgraphs
from whet.optimize.graph.quantize.groups import stem
from whet.optimize.graph.quantize.moments import Intake, Window

if TYPE_CHECKING:
    import onnx

__all__ = ["WeightedLayer", "weighted_layers"]


_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


@dataclass(frozen=True)
class WeightedLayer:
    """A weight of the graph, and what its layer takes in.

    Attributes:
        weight: in the graph.
        intake: what it is multiplied with; ``None`` where no value of the graph is that.
        axis: of the weight, along which its outputs lie; each has a scale of its own.
        names: what quantisers may call the layer.
    """

    weight: onnx.TensorProto
    intake: Intake | None
    axis: int = 0
    names: frozenset[str] = frozenset()

    def matrix(self) -> NDArray[np.float64]:
        """The weight as (outputs, all else)."""
        values = require("onnx.numpy_helper", "read a graph").to_array(self.weight)
        whole: NDArray[np.float64] = np.moveaxis(values, self.axis, 0).astype(np.float64)
        return whole.reshape(len(whole), -1)

    def shaped(self, matrix: NDArray[np.generic]) -> NDArray[np.generic]:
        """What `matrix` gave, in the shape of the weight again."""
        dims = list(self.weight.dims)
        turned = matrix.reshape([dims.pop(self.axis), *dims])
        return np.ascontiguousarray(np.moveaxis(turned, 0, self.axis))


def weighted_layers(
    model: onnx.ModelProto,
    otherwise: str,
    *,
    most_inputs: int | None = None,
    recurrent: bool = True,
) -> tuple[tuple[WeightedLayer, ...], tuple[Note, ...]]:
    """Layers with a float32 weight of their own, and notes on the others.

    Args:
        model: any ONNX graph.
        otherwise: how a note on a layer that is left alone begins.
        most_inputs: of one output; a layer with more is left alone, and so is one whose inputs
            can't be seen. ``None`` takes any.
        recurrent: whether LSTM, GRU and RNN layers count.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = Counter(name for part in subgraphs(model.graph) for n in part.node for name in n.input)
    uses.update(value.name for value in (*model.graph.output, *model.graph.input))
    found: list[WeightedLayer] = []
    notes: list[Note] = []
    for place, node, kind in _weighted(model, stored):
        weight = kind.weight
        where = node.name or f"{node.op_type}_{place}"
        why = ""
        if uses[weight.name] != 1:
            why = "its weight is used more than once"
        elif weight.data_type != weight.FLOAT:
            why = "its weight isn't float32"
        elif not recurrent and node.op_type in _RECURRENT:
            why = "recurrent layers were left out"
        elif most_inputs is not None and kind.intake is None:
            why = "what it is multiplied with is no value of the graph"
        elif most_inputs is not None and kind.intake and kind.intake.size > most_inputs:
            why = f"{kind.intake.size} inputs of one output are too many"
        if why:
            notes.append(Note(where, f"{otherwise}: {why}."))
        else:
            names = frozenset(stem(name) for name in (where, node.output[0]))
            found.append(replace(kind, names=names))
    return tuple(found), tuple(notes)


def _weighted(
    model: onnx.ModelProto, stored: dict[str, onnx.TensorProto]
) -> Iterator[tuple[int, onnx.NodeProto, WeightedLayer]]:
    onnx = require("onnx", "read a graph")
    for place, node in enumerate(model.graph.node):
        if node.domain or len(node.input) < 2 or node.input[1] not in stored:
            continue
        weight = stored[node.input[1]]
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        source = node.input[0]
        if node.op_type in _RECURRENT:
            yield from ((place, node, layer) for layer in _recurrent(node, stored))
        elif node.op_type == "Conv":
            yield place, node, WeightedLayer(weight, _convolution(source, weight, options))
        elif node.op_type == "MatMul" and len(weight.dims) == 2:
            yield place, node, WeightedLayer(weight, Intake(source, weight.dims[0]), axis=1)
        elif node.op_type == "Gemm" and not options.get("transA", 0):
            axis = 0 if options.get("transB", 0) else 1
            yield place, node, WeightedLayer(weight, Intake(source, weight.dims[1 - axis]), axis)


def _recurrent(
    node: onnx.NodeProto, stored: dict[str, onnx.TensorProto]
) -> Iterator[WeightedLayer]:
    """Both weights, (directions, gates * hidden, inputs): of what enters, and of the state before.

    Two directions share the scales of a row, and what they would gain by rounding isn't looked at.
    """
    answers = node.output[0] if node.output else ""
    for name, value in zip(node.input[1:3], (node.input[0], answers), strict=True):
        if name in stored:
            weight = stored[name]
            seen = value and weight.dims[0] == 1
            yield WeightedLayer(weight, Intake(value, weight.dims[2]) if seen else None, axis=1)


def _convolution(source: str, weight: onnx.TensorProto, options: dict[str, Any]) -> Intake:
    kernel = tuple(weight.dims[2:])
    axes = len(kernel)
    ends = options.get("pads", [0] * 2 * axes)
    keeps = options.get("auto_pad") in (b"SAME_UPPER", b"SAME_LOWER")
    window = Window(
        kernel,
        tuple(options.get("strides", [1] * axes)),
        tuple(options.get("dilations", [1] * axes)),
        None if keeps else tuple(zip(ends[:axes], ends[axes:], strict=True)),
        lower=options.get("auto_pad") == b"SAME_LOWER",
    )
    size = weight.dims[1] * math.prod(kernel)
    return Intake(source, size, int(options.get("group", 1)), window)

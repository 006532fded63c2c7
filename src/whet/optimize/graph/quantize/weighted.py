"""The weights that rounding and storing are about: of convolutions and matrix products."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from whet._optional import require
from whet.core.note import Note
from whet.optimize.graph.names import subgraphs
from whet.optimize.graph.quantize.groups import stem
from whet.optimize.graph.quantize.moments import Intake, Window

if TYPE_CHECKING:
    import onnx

__all__ = ["WeightedLayer", "weighted_layers"]


@dataclass(frozen=True)
class WeightedLayer:
    """A weight of the graph, and what its layer takes in.

    ``across``: the first axis are inputs, as in ``x @ w``; ``names``: what quantisers may call it.
    """

    weight: onnx.TensorProto
    intake: Intake
    across: bool = False
    names: frozenset[str] = frozenset()


def weighted_layers(
    model: onnx.ModelProto, otherwise: str, most_inputs: int | None = None
) -> tuple[tuple[WeightedLayer, ...], tuple[Note, ...]]:
    """Layers with a float32 weight of their own, and notes on the others.

    Args:
        model: any ONNX graph.
        otherwise: how a note on a layer that is left alone begins.
        most_inputs: of one output; a layer with more is left alone.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = Counter(name for part in subgraphs(model.graph) for n in part.node for name in n.input)
    uses.update(value.name for value in (*model.graph.output, *model.graph.input))
    found: list[WeightedLayer] = []
    notes: list[Note] = []
    for place, node, kind in _weighted(model, stored):
        weight = stored[node.input[1]]
        where = node.name or f"{node.op_type}_{place}"
        why = ""
        if uses[weight.name] != 1:
            why = "its weight is used more than once"
        elif weight.data_type != weight.FLOAT:
            why = "its weight isn't float32"
        elif most_inputs is not None and kind.intake.size > most_inputs:
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
        if node.op_type == "Conv":
            yield place, node, WeightedLayer(weight, _convolution(source, weight, options))
        elif node.op_type == "MatMul" and len(weight.dims) == 2:
            yield place, node, WeightedLayer(weight, Intake(source, weight.dims[0]), across=True)
        elif node.op_type == "Gemm" and not options.get("transA", 0):
            across = not options.get("transB", 0)
            size = weight.dims[0] if across else weight.dims[1]
            yield place, node, WeightedLayer(weight, Intake(source, size), across=across)


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

"""What a graph costs on paper: parameters, multiply-accumulates, bytes moved.

Counted at batch 1 for the operators that do the arithmetic (convolutions, matrix
products, attention, recurrent layers: `whet.optimize.graph.macs`). Everything else is
taken to be fused into them, so the bytes moved are a lower bound: each weight read once,
each input and output of a counted operator moved once, in the width in which an engine
that fuses the quantisers moves it (`whet.optimize.graph.narrow`).

Shapes come from ONNX's own inference; where that stops (operators of a
runtime's own), the graph is run once and its shapes are looked at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from whet._optional import require
from whet.core.artifact import Artifact
from whet.optimize.axes import BATCH, SEQUENCE
from whet.optimize.graph.io import read_onnx, signature_of
from whet.optimize.graph.macs import COUNTED, RECURRENT, Shapes, goes_uncounted, macs_of
from whet.optimize.graph.narrow import Node, Widths, widths_moved
from whet.optimize.graph.runs import run_proto, synthetic

if TYPE_CHECKING:
    import onnx

__all__ = ["GraphFacts", "LayerFacts", "facts"]

_USUAL_SIZES = {BATCH: 1, SEQUENCE: 32}
_OTHER_SIZE = 32


@dataclass(frozen=True)
class LayerFacts:
    """One operator that does arithmetic.

    ``bytes_moved`` counts weights, inputs and outputs, ``wide_bytes`` those 32 bits wide.
    """

    name: str
    op: str
    macs: int
    parameters: int
    bytes_moved: int
    wide_bytes: int = 0


@dataclass(frozen=True)
class GraphFacts:
    """A graph on paper.

    Attributes:
        parameters: numbers in the weights; of quantised weights too.
        macs: multiply-accumulates of one row.
        bytes_moved: lower bound of the memory traffic of one row.
        weight_bytes: size of the weights.
        ops: number of nodes of each operator.
        sizes: the sizes of symbols that this was counted at.
        layers: the operators counted, in the graph's order.
        unknown: operators that do arithmetic which can't be counted; then ``macs`` and
            ``bytes_moved`` are too low.
        wide_bytes: what of the bytes moved is 32 bits wide.
    """

    parameters: int
    macs: int
    bytes_moved: int
    weight_bytes: int
    ops: dict[str, int]
    sizes: dict[str, int] = field(default_factory=dict)
    layers: tuple[LayerFacts, ...] = ()
    unknown: tuple[str, ...] = ()
    wide_bytes: int = 0

    @property
    def kind(self) -> str:
        """By what most products are done: ``"cnn"``, ``"transformer"`` or ``"recurrent"``.

        Steps wait for each other, so a quarter of the products in recurrent layers is enough.
        """
        attention = self.ops.get("Softmax", 0) + self.ops.get("Attention", 0)
        attention += self.ops.get("MultiHeadAttention", 0)
        convolved = sum(layer.macs for layer in self.layers if layer.op.find("Conv") >= 0)
        stepped = sum(layer.macs for layer in self.layers if layer.op in RECURRENT)
        if 2 * convolved >= max(self.macs, 1):
            return "cnn"
        if 4 * stepped > self.macs:
            return "recurrent"
        return "transformer" if attention >= 1 else "cnn"


def facts(graph: Artifact, sizes: Mapping[str, int] | None = None) -> GraphFacts:
    """Count a graph.

    Args:
        graph: ONNX.
        sizes: of symbols; the batch is 1 and a sequence 32 where not given.

    Raises:
        NetworkError: the file can't be read.
        EngineError: shapes are missing and the graph can't be run either.
    """
    model = read_onnx(graph)
    signature = signature_of(model)
    wanted = {d for spec in signature.inputs for d in spec.shape if isinstance(d, str)}
    given = dict(sizes or {})
    chosen = {d: given.get(d, _USUAL_SIZES.get(d, _OTHER_SIZE)) for d in sorted(wanted)}
    weights = {t.name: (tuple(t.dims), _width(t.data_type)) for t in model.graph.initializer}
    shapes, widths = _shapes(model, chosen)
    shapes = {**shapes, **{name: dims for name, (dims, _) in weights.items()}}
    widths = {**widths, **{name: width for name, (_, width) in weights.items()}}
    behind = _weights_behind(model)
    moved = _moved_widths(model, widths)
    matrices = {name for name, (dims, _) in weights.items() if len(dims) > 1}
    layers, unknown = [], []
    for number, node in enumerate(model.graph.node):
        label = node.name or f"{node.op_type}_{number}"
        if node.op_type not in COUNTED:
            if goes_uncounted(node, matrices):
                unknown.append(label)
            continue
        macs = macs_of(node, shapes)
        if macs is None:
            unknown.append(label)
            continue
        layers.append(_layer(node, number, macs, shapes, moved, behind))
    counts = Counter(node.op_type for node in model.graph.node)
    stored = [t for t in model.graph.initializer if _is_weight(t)]
    return GraphFacts(
        parameters=sum(math.prod(t.dims) for t in stored),
        macs=sum(layer.macs for layer in layers),
        bytes_moved=sum(layer.bytes_moved for layer in layers),
        weight_bytes=sum(math.ceil(math.prod(t.dims) * _width(t.data_type)) for t in stored),
        ops=dict(counts.most_common()),
        sizes=chosen,
        layers=tuple(layers),
        unknown=tuple(unknown),
        wide_bytes=sum(layer.wide_bytes for layer in layers),
    )


def _is_weight(tensor: onnx.TensorProto) -> bool:
    # int64 and bool tensors are shapes, axes and masks; int32 ones are quantised biases.
    return tensor.data_type not in {tensor.INT64, tensor.BOOL, tensor.STRING}


def _width(data_type: int) -> float:
    """Bytes of one element."""
    onnx = require("onnx", "count a graph")
    name = onnx.TensorProto.DataType.Name(data_type)
    if name in {"INT4", "UINT4", "FLOAT4E2M1"}:
        return 0.5
    if name in {"INT2", "UINT2"}:
        return 0.25
    if name == "STRING":
        return 0
    return float(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(data_type)).itemsize)


def _shapes(
    model: onnx.ModelProto, sizes: Mapping[str, int]
) -> tuple[dict[str, tuple[int, ...]], dict[str, float]]:
    onnx = require("onnx", "count a graph")
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in fixed.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, _dims(value, sizes), strict=True):
            dim.dim_value = size
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True)
    shapes, widths = {}, {}
    for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        tensor = value.type.tensor_type
        widths[value.name] = _width(tensor.elem_type) if tensor.elem_type else 4.0
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            shapes[value.name] = tuple(d.dim_value for d in tensor.shape.dim)
    stored = {tensor.name for tensor in model.graph.initializer}
    missing = [
        name
        for node in model.graph.node
        if node.op_type in COUNTED
        for name in (*node.input, *node.output)
        if name and name not in shapes and name not in stored
    ]
    if missing:
        shapes.update(_observed(model, list(dict.fromkeys(missing)), sizes))
    return shapes, widths


def _dims(value: onnx.ValueInfoProto, sizes: Mapping[str, int]) -> list[int]:
    dims = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") else sizes.get(d.dim_param, 1) for d in dims]


def _observed(
    model: onnx.ModelProto, names: list[str], sizes: Mapping[str, int]
) -> dict[str, tuple[int, ...]]:
    onnx = require("onnx", "count a graph")
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    stated = {value.name for value in (*opened.graph.output, *opened.graph.input)}
    for name in names:
        if name not in stated:
            opened.graph.output.append(onnx.ValueInfoProto(name=name))
    found = run_proto(opened, synthetic(signature_of(model), sizes), names)
    return {name: tuple(array.shape) for name, array in found.items()}


def _weights_behind(model: onnx.ModelProto) -> dict[str, str]:
    """Value -> the stored weight it is widened, dequantised or transposed from."""
    stored = {tensor.name for tensor in model.graph.initializer}
    behind = {name: name for name in stored}
    for node in model.graph.node:
        passing = {"DequantizeLinear", "Cast", "Transpose", "Identity", "QuantizeLinear", "Reshape"}
        if node.op_type in passing and node.input[0] in behind:
            behind[node.output[0]] = behind[node.input[0]]
    return behind


def _layer(
    node: onnx.NodeProto,
    number: int,
    macs: int,
    shapes: Shapes,
    widths: Widths,
    behind: Mapping[str, str],
) -> LayerFacts:
    parameters, moved, wide = 0, 0.0, 0.0
    parts = [(name, widths.read) for name in node.input if name]
    parts += [(name, widths.written) for name in node.output if name]
    for name, own in parts:
        source = behind.get(name, name)
        elements = math.prod(shapes.get(source, ()))
        width = own.get(source, 4.0)
        moved += elements * width
        wide += elements * width if width == 4 else 0
        parameters += elements if name in behind and len(shapes.get(source, ())) > 0 else 0
    label = node.name or f"{node.op_type}_{number}"
    return LayerFacts(label, node.op_type, macs, parameters, math.ceil(moved), math.ceil(wide))


def _moved_widths(model: onnx.ModelProto, stated: Mapping[str, float]) -> Widths:
    nodes = [Node(n.op_type, tuple(n.input), tuple(n.output)) for n in model.graph.node]
    return widths_moved(nodes, stated, [value.name for value in model.graph.output])

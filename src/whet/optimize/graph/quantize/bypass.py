"""Take single quantisers out of a quantised graph again, without quantising anew.

Works on graphs whose weights are still float in front of their quantisers
(``fold=False`` of `whet.optimize.graph.quantize.nncf`): there a quantiser is a
node between a float value and its readers, and taking it out is to connect the
readers with the float value.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from whet._optional import require
from whet.optimize.graph.quantize.groups import Group, Quantiser, group_quantisers
from whet.optimize.graph.quantize.layers import describe_ir, describe_onnx

if TYPE_CHECKING:
    import onnx
    import openvino

__all__ = ["groups_ir", "groups_onnx", "without_ir", "without_onnx"]

# Operators that move values without computing with them: an integer input gives
# an integer output, so a quantiser before them serves what comes after them.
_MOVES = frozenset(
    {
        *("MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Split", "Concat", "Pad"),
        *("Slice", "Gather", "Flatten", "Expand", "Tile", "Identity", "DepthToSpace"),
        *("SpaceToDepth", "ReduceMax", "VariadicSplit", "StridedSlice", "Broadcast", "Convert"),
    }
)
# Readers of a value's shape don't compute with the value.
_SHAPES = frozenset({"Shape", "ShapeOf", "Result", "Parameter"})


def groups_onnx(model: onnx.ModelProto) -> tuple[Group, ...]:
    """Groups of an ONNX graph with QuantizeLinear/DequantizeLinear pairs.

    A quantiser is named after its DequantizeLinear.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    ops = {op.name: op for op in describe_onnx(model)}

    def fed(node: onnx.NodeProto, *, weight: bool) -> list[str]:
        found: list[str] = []
        for value in node.output:
            for reader in readers.get(value, ()):
                if _passes_on(reader.op_type, weight=weight):
                    found += fed(reader, weight=weight)
                elif reader.op_type not in _SHAPES and reader.op_type != "QuantizeLinear":
                    found.append(reader.name)
        return found

    quantisers = []
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear":
            weight = ops[node.name].fixed
            names = tuple(dict.fromkeys(fed(node, weight=weight)))
            quantisers.append(Quantiser(node.name, names, weight))
    return group_quantisers(quantisers, tuple(ops.values()))


def _passes_on(kind: str, *, weight: bool) -> bool:
    """Whether an operator only moves values; one that looks up a weight (an embedding) uses it."""
    return kind in _MOVES and not (weight and kind == "Gather")


def groups_ir(model: openvino.Model) -> tuple[Group, ...]:
    """Groups of an OpenVINO model with FakeQuantize nodes."""
    ops = {op.name: op for op in describe_ir(model)}

    def fed(node: openvino.Node, *, weight: bool) -> list[str]:
        found: list[str] = []
        for output in node.outputs():
            for port in output.get_target_inputs():
                reader = port.get_node()
                kind, name = reader.get_type_name(), reader.get_friendly_name()
                if _passes_on(kind, weight=weight):
                    found += fed(reader, weight=weight)
                elif kind not in _SHAPES and kind != "FakeQuantize":
                    found.append(name)
        return found

    quantisers = []
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            weight = ops[node.get_friendly_name()].fixed
            names = tuple(dict.fromkeys(fed(node, weight=weight)))
            quantisers.append(Quantiser(node.get_friendly_name(), names, weight))
    return group_quantisers(quantisers, tuple(ops.values()))


def without_onnx(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """A copy in which the readers of the named DequantizeLinear nodes read the float value."""
    onnx = require("onnx", "edit a quantised graph")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    made = {output: node for node in copy.graph.node for output in node.output}
    gone = set(names)
    source: dict[str, str] = {}
    for node in copy.graph.node:
        if node.op_type == "DequantizeLinear" and node.name in gone:
            source[node.output[0]] = made[node.input[0]].input[0]
    for node in copy.graph.node:
        node.input[:] = [source.get(name, name) for name in node.input]
    dead = {node.name for node in copy.graph.node if node.op_type == "DequantizeLinear"} & gone
    kept = [node for node in copy.graph.node if node.name not in dead]
    used = {name for node in kept for name in node.input} | {o.name for o in copy.graph.output}
    kept = [
        node
        for node in kept
        if node.op_type != "QuantizeLinear" or not used.isdisjoint(node.output)
    ]
    used = {name for node in kept for name in node.input} | {o.name for o in copy.graph.output}
    scales = [tensor for tensor in copy.graph.initializer if tensor.name in used]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(scales)
    return copy


def without_ir(model: openvino.Model, names: Collection[str]) -> openvino.Model:
    """A copy in which the readers of the named FakeQuantize nodes read the float value."""
    copy = model.clone()
    gone = set(names)
    for node in copy.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and node.get_friendly_name() in gone:
            source = node.input_value(0)
            for port in node.output(0).get_target_inputs():
                port.replace_source_output(source)
    return copy

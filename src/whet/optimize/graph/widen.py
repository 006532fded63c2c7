"""A graph that computes in float16 made to compute in float32.

Every float16 is a float32, so weights widen without loss; what changes is that
sums and products are no longer rounded to 11 bits after each operator. CPUs
without float16 arithmetic compute such graphs in float32 anyway, with two casts
around each operator, and quantisers don't read them at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from whet._optional import require
from whet.optimize.graph.names import fresh_name, rename_values, subgraphs

if TYPE_CHECKING:
    import onnx

__all__ = ["computes_in_half", "widen"]

# Attributes that name a datatype.
_TYPES = {"to", "dtype"}


def computes_in_half(model: onnx.ModelProto) -> bool:
    """Whether float16 is more than the form in which weights or inputs wait for a Cast."""
    half = _half()
    for graph in subgraphs(model.graph):
        stored = {tensor.name for tensor in graph.initializer if tensor.data_type == half}
        stored |= {v.name for v in graph.input if v.type.tensor_type.elem_type == half}
        for node in graph.node:
            if node.op_type == "Constant" and any(a.t.data_type == half for a in node.attribute):
                stored.update(node.output)
        for node in graph.node:
            if any(a.name in _TYPES and a.i == half for a in node.attribute):
                return True
            if node.op_type != "Cast" and not stored.isdisjoint(node.input):
                return True
    return False


def widen(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """A copy that computes in float32, with the same inputs and outputs.

    Returns:
        ``None`` where float16 stands in a place that isn't understood (functions of the
        model's own, sparse weights).
    """
    if model.functions or any(part.sparse_initializer for part in subgraphs(model.graph)):
        return None
    onnx = require("onnx", "widen a graph")
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    graph = wide.graph
    half = {
        value.name: value.type.tensor_type.elem_type == _half()
        for value in (*graph.input, *graph.output)
    }
    for part in subgraphs(graph):
        _widen_part(part)
    for value in [value for value in graph.input if half[value.name]]:
        _cast_input(graph, value)
    made = {name for node in graph.node for name in node.output}
    for value in [v for v in graph.output if half[v.name]]:
        if value.name in made:
            _cast_output(graph, value)
        else:  # a weight or an input that is handed on
            return None
    _drop_idle_casts(wide)
    return wide


def _half() -> int:
    return int(require("onnx", "widen a graph").TensorProto.FLOAT16)


def _widen_part(graph: onnx.GraphProto) -> None:
    onnx = require("onnx", "widen a graph")
    full = onnx.TensorProto.FLOAT
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _half():
            value.type.tensor_type.elem_type = full
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in _TYPES and attribute.i == _half():
                attribute.i = full
            if attribute.HasField("t"):
                _widen_tensor(attribute.t)
            for tensor in attribute.tensors:
                _widen_tensor(tensor)


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type != _half():
        return
    onnx = require("onnx", "widen a graph")
    values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _cast_input(graph: onnx.GraphProto, value: onnx.ValueInfoProto) -> None:
    """The graph goes on taking float16, and widens it at the door."""
    onnx = require("onnx", "widen a graph")
    inner = fresh_name(graph, f"{value.name}_wide")
    for part in subgraphs(graph):
        for node in part.node:
            _read_instead(node, value.name, inner)
    value.type.tensor_type.elem_type = _half()
    cast = onnx.helper.make_node(
        "Cast", [value.name], [inner], name=inner, to=onnx.TensorProto.FLOAT
    )
    graph.node.insert(0, cast)


def _cast_output(graph: onnx.GraphProto, value: onnx.ValueInfoProto) -> None:
    """The graph goes on giving float16, rounded once at the end."""
    onnx = require("onnx", "widen a graph")
    name, inner = value.name, fresh_name(graph, f"{value.name}_wide")
    rename_values(graph, {name: inner})
    value.name = name
    value.type.tensor_type.elem_type = _half()
    graph.node.append(onnx.helper.make_node("Cast", [inner], [name], name=inner, to=_half()))


def _drop_idle_casts(model: onnx.ModelProto) -> None:
    """Take out the casts from float32 to float32 that are left over."""
    graph = model.graph
    full = require("onnx", "widen a graph").TensorProto.FLOAT
    types = dict(_types(model))
    outputs = {value.name for value in graph.output}
    made = {name for node in graph.node for name in node.output}
    instead: dict[str, str] = {}
    gone: list[int] = []
    for place, node in enumerate(graph.node):
        idle = node.op_type == "Cast" and types.get(node.input[0]) == full
        if not idle or not any(a.name == "to" and a.i == full for a in node.attribute):
            continue
        source, target = _last(instead, node.input[0]), node.output[0]
        if target not in outputs:
            instead[target] = source
        elif source in made and source not in outputs:
            instead[source] = target  # whoever makes it writes the output itself
        else:
            continue
        gone.append(place)
    for place in reversed(gone):
        del graph.node[place]
    _rename(graph, {name: _last(instead, name) for name in instead})


def _last(instead: dict[str, str], name: str) -> str:
    while name in instead:
        name = instead[name]
    return name


def _rename(graph: onnx.GraphProto, instead: dict[str, str]) -> None:
    for value in [v for v in graph.value_info if v.name in instead]:
        graph.value_info.remove(value)
    for part in subgraphs(graph):
        for node in part.node:
            node.input[:] = [instead.get(name, name) for name in node.input]
            node.output[:] = [instead.get(name, name) for name in node.output]
        for value in part.output:
            value.name = instead.get(value.name, value.name)


def _read_instead(node: onnx.NodeProto, old: str, new: str) -> None:
    node.input[:] = [new if name == old else name for name in node.input]


def _types(model: onnx.ModelProto) -> Iterator[tuple[str, int]]:
    onnx = require("onnx", "widen a graph")
    for tensor in model.graph.initializer:
        yield tensor.name, tensor.data_type
    try:
        known = onnx.shape_inference.infer_shapes(model).graph
    except (onnx.shape_inference.InferenceError, ValueError):
        known = model.graph  # above 2 GB; some casts then stay, which costs nothing
    for value in (*known.input, *known.output, *known.value_info):
        yield value.name, value.type.tensor_type.elem_type

"""``Gemm`` in the one form that every quantiser knows.

``Gemm`` computes ``alpha * A' B' + beta * C``. ONNX Runtime's quantiser leaves out those
with factors or a transposed ``A``, and NNCF fails on the latter. The factors go into
constant weights and biases, the transposition into an operator of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whet._optional import require
from whet.optimize.graph.names import subgraphs, unused_name, value_names

if TYPE_CHECKING:
    import onnx

__all__ = ["plain_gemms"]


def plain_gemms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rewrite every ``Gemm`` as far as its factors stand before constants, in place.

    Its name stays.

    Args:
        model: whose nodes have names.
    """
    taken = value_names(model.graph) | {node.name for node in model.graph.node}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    replaced: set[str] = set()
    place = 0
    while place < len(model.graph.node):
        node = model.graph.node[place]
        if node.op_type == "Gemm" and not node.domain:
            replaced |= _scale(model.graph, node, constants, taken)
            place += _turn(model.graph, node, place, constants, taken)
        place += 1
    _drop_unused(model.graph, replaced)
    return model


def _drop_unused(graph: onnx.GraphProto, names: set[str]) -> None:
    read = {name for part in subgraphs(graph) for node in part.node for name in node.input}
    read |= {value.name for value in graph.output}
    for tensor in [t for t in graph.initializer if t.name in names - read]:
        graph.initializer.remove(tensor)


def _scale(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    constants: dict[str, onnx.TensorProto],
    taken: set[str],
) -> set[str]:
    """Take ``alpha`` into the weight and ``beta`` into the bias; the constants replaced."""
    onnx = require("onnx", "edit a graph")
    replaced: set[str] = set()
    for attribute in list(node.attribute):
        index = {"alpha": 1, "beta": 2}.get(attribute.name)
        if index is None:
            continue
        name = node.input[index] if len(node.input) > index else ""
        if name and attribute.f != 1:
            if name not in constants:
                continue
            values = onnx.numpy_helper.to_array(constants[name])
            if values.dtype.kind != "f":
                continue
            scaled = (values.astype(np.float64) * attribute.f).astype(values.dtype)
            replaced.add(name)  # others may use it as it is
            node.input[index] = unused_name(taken, f"{name}_{attribute.name}")
            taken.add(node.input[index])
            graph.initializer.append(onnx.numpy_helper.from_array(scaled, node.input[index]))
        node.attribute.remove(attribute)
    return replaced


def _turn(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    place: int,
    constants: dict[str, onnx.TensorProto],
    taken: set[str],
) -> int:
    """Put a Transpose before the ``Gemm`` where it asks for one; the number of nodes added."""
    onnx = require("onnx", "edit a graph")
    turned = [a for a in node.attribute if a.name == "transA" and a.i]
    if not turned or node.input[0] in constants:
        return 0
    name = unused_name(taken, f"{node.name}_turned")
    taken.add(name)
    graph.node.insert(
        place, onnx.helper.make_node("Transpose", [node.input[0]], [name], name=name, perm=[1, 0])
    )
    node.input[0] = name
    node.attribute.remove(turned[0])
    return 1

"""Memory traffic of a candidate's own graph on paper: weights and activations in their dtypes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from whet.core.artifact import Artifact, Format
from whet.errors import NetworkError
from whet.optimize.graph.facts import facts
from whet.optimize.graph.ir import read_ir
from whet.optimize.graph.narrow import Node, Widths, widths_moved
from whet.optimize.said import last_line

if TYPE_CHECKING:
    import openvino

__all__ = ["Traffic", "traffic_of"]

_COUNTED = frozenset(
    {
        *("Convolution", "GroupConvolution", "MatMul", "ScaledDotProductAttention"),
        *("ConvolutionBackpropData", "GroupConvolutionBackpropData"),
        *("LSTMSequence", "GRUSequence", "RNNSequence", "LSTMCell", "GRUCell", "RNNCell"),
    }
)
# What stands between stored weights and the operator that takes them.
_WIDENS = frozenset({"Convert", "Multiply", "Subtract", "Transpose", "Reshape", "FakeQuantize"})


class Traffic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lower bound of the memory traffic of one row, as `whet.optimize.graph.facts` counts it.

    Attributes:
        bytes_moved: weights, inputs and outputs of the operators that do the arithmetic.
        wide_bytes: those of them that are 32 bits wide, which a runtime that computes in
            16 bits halves.
    """

    bytes_moved: int
    wide_bytes: int


def traffic_of(graph: Artifact, sizes: Mapping[str, int]) -> Traffic:
    """Count a graph's traffic.

    Args:
        graph: ONNX or OpenVINO IR.
        sizes: of symbols; others are taken as `whet.optimize.graph.facts` does.

    Raises:
        NetworkError: another format, the file can't be read, or a shape isn't known.
        EngineError: shapes are missing and the graph can't be run either.
    """
    if graph.format is Format.ONNX:
        found = facts(graph, sizes)
        if found.unknown:
            raise NetworkError(
                f"What {', '.join(found.unknown[:3])} do can't be counted.",
                "Estimate its traffic from the weights.",
            )
        return Traffic(found.bytes_moved, found.wide_bytes)
    if graph.format is Format.OPENVINO:
        return _of_ir(graph, sizes)
    raise NetworkError(
        f"The traffic of {graph.format.value} files can't be counted.",
        "Estimate it from the weights.",
    )


def _of_ir(graph: Artifact, sizes: Mapping[str, int]) -> Traffic:
    model = read_ir(graph)
    try:
        model.reshape(
            {
                spec.name: [d if isinstance(d, int) else sizes.get(d, 1) for d in spec.shape]
                for spec in graph.signature.inputs
            }
        )
        return _count(model)
    except RuntimeError as error:  # a shape that stays dynamic, or can't be had at these sizes
        raise NetworkError(
            f"The shapes of '{graph.path}' can't be had: {last_line(error)}.",
            "Estimate its traffic from the weights.",
        ) from error


def _count(model: openvino.Model) -> Traffic:
    nodes: list[Node] = []
    sizes: dict[str, int] = {}
    stated: dict[str, float] = {}
    weights: dict[str, tuple[int, float]] = {}
    outputs: set[str] = set()
    for op in model.get_ordered_ops():
        kind, inputs, given = op.get_type_name(), _inputs(op), _outputs(op)
        if kind == "Result":
            outputs.update(inputs)
            continue
        for number, name in enumerate(given):
            port = op.output(number)
            stated[name] = port.get_element_type().bitwidth / 8
            if port.get_partial_shape().is_static:
                sizes[name] = math.prod(port.get_shape())
        weights.update(_weights(op, kind, inputs, given, weights, stated))
        nodes.append(Node(_kind(op, kind), inputs, given))
    widths = widths_moved(nodes, stated, outputs)
    moved = [
        part
        for node in nodes
        if node.kind in _COUNTED
        for part in _moved(node, sizes, stated, widths, weights)
    ]
    wide = sum(elements * width for elements, width in moved if width == 4)
    return Traffic(math.ceil(sum(elements * width for elements, width in moved)), math.ceil(wide))


def _moved(
    node: Node,
    sizes: Mapping[str, int],
    stated: Mapping[str, float],
    widths: Widths,
    weights: Mapping[str, tuple[int, float]],
) -> list[tuple[int, float]]:
    """(elements, bytes of each) of all that one operator moves."""
    found = [weights.get(name) or (_size(name, sizes), widths.read[name]) for name in node.inputs]
    found += [(_size(name, sizes), widths.written.get(name, stated[name])) for name in node.outputs]
    return found


def _size(name: str, sizes: Mapping[str, int]) -> int:
    if name not in sizes:
        raise NetworkError(
            f"The shape of '{name}' is not known.", "Estimate its traffic from the weights."
        )
    return sizes[name]


def _weights(
    op: openvino.Node,
    kind: str,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    known: Mapping[str, tuple[int, float]],
    stated: Mapping[str, float],
) -> dict[str, tuple[int, float]]:
    """Value -> (elements, bytes of each) of the stored weights that it comes from."""
    if kind == "Constant":
        return {outputs[0]: (math.prod(op.output(0).get_shape()), stated[outputs[0]])}
    if kind not in _WIDENS or any(name not in known for name in inputs):
        return {}
    elements, width = known[inputs[0]]
    # The engine stores what this quantiser gives, not the floats in the file.
    return {outputs[0]: (elements, 1.0 if _kind(op, kind) == "FakeQuantize" else width)}


def _kind(op: openvino.Node, kind: str) -> str:
    if kind == "FakeQuantize" and int(op.get_attributes()["levels"]) > 256:
        return "FakeQuantize, many levels"
    return kind


def _inputs(op: openvino.Node) -> tuple[str, ...]:
    sources = (value.get_source_output() for value in op.inputs())
    return tuple(f"{source.get_node().get_name()}:{source.get_index()}" for source in sources)


def _outputs(op: openvino.Node) -> tuple[str, ...]:
    name = op.get_name()  # unique, unlike the friendly one
    return tuple(f"{name}:{number}" for number in range(op.get_output_size()))

"""How many multiply-accumulates one operator of an ONNX graph takes; pure.

=====================  ====================================================
operator               multiply-accumulates
=====================  ====================================================
Conv                   outputs × (inputs of one group) × kernel
ConvTranspose          inputs × (outputs of one group) × kernel
MatMul, Gemm           outputs × inner size
Einsum                 the sizes of all its letters
Attention              batch × sequence × inputs × 3 widths
                       + 2 × batch × sequence² × width
LSTM, GRU, RNN         steps × batch × directions × gates × hidden
                       × (inputs + hidden)
=====================  ====================================================

What else multiplies matrices can't be counted, but it can be told: loops and branches,
and operators of a runtime's own that hold a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from whet.optimize.graph.names import subgraphs

if TYPE_CHECKING:
    import onnx

__all__ = ["COUNTED", "RECURRENT", "Shapes", "goes_uncounted", "macs_of"]

Shapes = Mapping[str, tuple[int, ...]]

_CONVOLVES = frozenset({"Conv", "ConvInteger", "QLinearConv", "FusedConv"})
RECURRENT = frozenset({"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"})
_PRODUCT = {"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "FusedGemm"}
_ATTENTION = {"Attention", "MultiHeadAttention"}
COUNTED = _CONVOLVES | RECURRENT | _PRODUCT | _ATTENTION | {"ConvTranspose", "Einsum"}

# They take a matrix, but only look up, store or add it.
_NO_PRODUCT = {
    "EmbedLayerNormalization",
    "DequantizeLinear",
    "QuantizeLinear",
    "GatherBlockQuantized",
}
_OWN_DOMAINS = {"", "ai.onnx"}


def macs_of(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    """Of a node in `COUNTED`; ``None`` where a shape is missing."""
    if node.op_type in RECURRENT:
        # Both weights hold all gates of all directions, whatever order a runtime keeps them in.
        known = [shapes.get(name) for name in node.input[:3]]
        if any(shape is None for shape in known):
            return None
        sequence, *weights = (shape for shape in known if shape is not None)
        return sequence[0] * sequence[1] * sum(map(math.prod, weights))
    if node.op_type == "Einsum":
        return _einsum(node, shapes)
    data = node.input[0]
    # The quantised forms interleave scales and zero points with the operands.
    weight = node.input[3] if node.op_type in {"QLinearConv", "QLinearMatMul"} else node.input[1]
    if any(name not in shapes for name in (data, weight, node.output[0])):
        return None
    left, right, out = shapes[data], shapes[weight], shapes[node.output[0]]
    if node.op_type in _CONVOLVES:
        return math.prod(out) * math.prod(right[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(left) * math.prod(right[1:])
    if node.op_type in _PRODUCT:
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        inner = left[0] if turned and len(left) == 2 else left[-1]
        return math.prod(out) * inner
    return _attention(node, left, right, out)


def goes_uncounted(node: onnx.NodeProto, matrices: AbstractSet[str]) -> bool:
    """Whether a node that isn't in `COUNTED` multiplies matrices all the same, or may.

    Args:
        node: any.
        matrices: names of stored weights of two or more axes.
    """
    if node.domain in _OWN_DOMAINS:
        bodies = [a.g for a in node.attribute if a.HasField("g")]
        parts = (part for body in bodies for part in subgraphs(body))
        inner = any(n.op_type in COUNTED for part in parts for n in part.node)
        return inner or node.op_type == "DeformConv"
    return node.op_type not in _NO_PRODUCT and bool(matrices & set(node.input))


def _einsum(node: onnx.NodeProto, shapes: Shapes) -> int | None:
    equation = next(a.s for a in node.attribute if a.name == "equation").decode()
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for name, letters in zip(node.input, terms, strict=True):
        if name not in shapes or len(letters) != len(shapes[name]):  # also where "..." stands
            return None
        sizes.update(zip(letters, shapes[name], strict=True))
    return math.prod(sizes.values())


def _attention(
    node: onnx.NodeProto, left: tuple[int, ...], right: tuple[int, ...], out: tuple[int, ...]
) -> int:
    batch, queries, width = out[0], out[1], out[-1]
    if node.op_type == "Attention" and node.domain and len(right) == 2:
        # Query, key and value projections are inside; right is their joint weight.
        return batch * queries * left[-1] * right[-1] + 2 * batch * queries * queries * width
    keys = right[-2] if len(right) == 4 else right[1]
    if len(out) == 4:
        return 2 * out[0] * out[1] * out[2] * out[3] * keys
    return 2 * batch * queries * keys * width

"""The shape of a graph as far as quantisation looks at it; pure.

`describe_onnx` and `describe_ir` turn both formats into the same list of
`Op`, so that everything else (first and last layers, what was left wide,
whether it is a transformer) is decided once and without either library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whet.core.note import Note

if TYPE_CHECKING:
    import onnx
    import openvino

__all__ = [
    "CONVOLUTIONS",
    "PRODUCTS",
    "Op",
    "describe_ir",
    "describe_onnx",
    "first_layers",
    "is_transformer",
    "kept_layers",
    "last_layers",
    "left_wide",
    "lost_in_int8",
    "quantised",
    "resolve_names",
    "weighted",
]

# Operators whose weights and input an integer kernel multiplies.
PRODUCTS = frozenset({"Gemm", "MatMul"})
CONVOLUTIONS = frozenset(
    {
        *("Conv", "ConvTranspose"),  # ONNX
        *("Convolution", "GroupConvolution", "ConvolutionBackpropData"),  # OpenVINO
    }
)
_MULTIPLIES = PRODUCTS | CONVOLUTIONS
# OpenVINO's recurrent layers that NNCF quantises, and what comes of it. An LSTM's first state is
# zero in most networks; NNCF takes its range from that, and OpenVINO's kernel keeps every later
# state in this range, so that all answers are zero.
_FIRST = "in OpenVINO's int8 the range of its first state would bind all others"
_NO_KERNEL = "OpenVINO has no int8 kernel for it and may refuse the graph"
_LOST = {
    "LSTMSequence": _FIRST,
    "LSTMCell": _FIRST,
    "GRUSequence": _NO_KERNEL,
    "GRUCell": _NO_KERNEL,
}
# What stands between integer weights and a layer; a Convert alone only widens float16.
_WIDENS = frozenset({"DequantizeLinear", "FakeQuantize", "Multiply", "Subtract"})
# OpenVINO's importer splits a layer with a bias into "name/WithoutBiases" and an Add "name".
_SPLIT = "/WithoutBiases"


@dataclass(frozen=True)
class Op:
    """One operator: its unique name, kind, and the operators that produce its inputs.

    ``constant`` is whether one of the inputs is a weight (constant, perhaps
    behind casts and quantisers); ``fixed`` whether all of them are, so that the
    result is constant too.
    """

    name: str
    kind: str
    parents: tuple[str, ...]
    constant: bool
    fixed: bool = False


def weighted(ops: Iterable[Op]) -> tuple[str, ...]:
    """Names of convolutions and matrix products with weights, in the order of execution."""
    return tuple(op.name for op in ops if op.kind in _MULTIPLIES and op.constant)


def quantised(ops: Sequence[Op]) -> tuple[str, ...]:
    """Names of layers whose weights come out of a quantiser or from integers."""
    narrow: set[str] = set()
    for op in ops:
        # Casts and reshapes may follow: what is computed from narrow weights alone is narrow too.
        if op.fixed and (op.kind in _WIDENS or not narrow.isdisjoint(op.parents)):
            narrow.add(op.name)
    return tuple(
        op.name for op in ops if op.kind in _MULTIPLIES and not narrow.isdisjoint(op.parents)
    )


def first_layers(ops: Sequence[Op]) -> tuple[str, ...]:
    """Weighted layers that no other weighted layer comes before."""
    layers = set(weighted(ops))
    behind: set[str] = set()  # operators that have a weighted layer before them
    first: list[str] = []
    for op in ops:
        if any(parent in behind or parent in layers for parent in op.parents):
            behind.add(op.name)
        elif op.name in layers:
            first.append(op.name)
    return tuple(first)


def last_layers(ops: Sequence[Op]) -> tuple[str, ...]:
    """Weighted layers that no other weighted layer comes after."""
    layers = set(weighted(ops))
    before: set[str] = set()  # operators that a weighted layer depends on
    for op in reversed(ops):
        if op.name in layers or op.name in before:
            before.update(op.parents)
    return tuple(name for name in weighted(ops) if name not in before)


def is_transformer(ops: Sequence[Op]) -> bool:
    """Whether there is attention: a softmax that (through casts and the like) enters a product."""
    kinds = {op.name: op for op in ops}
    passing = {"Cast", "Convert", "Dropout", "Where", "Select", "Identity", "IsNaN", "Reshape"}

    def comes_from_softmax(name: str, depth: int) -> bool:
        op = kinds.get(name)
        if op is None or depth == 0:
            return False
        if op.kind.lower() == "softmax":
            return True
        return op.kind in passing and any(comes_from_softmax(p, depth - 1) for p in op.parents)

    return any(
        op.kind == "MatMul"
        and not op.constant
        and any(comes_from_softmax(parent, 4) for parent in op.parents)
        for op in ops
    ) or any(op.kind in {"ScaledDotProductAttention", "Attention"} for op in ops)


def resolve_names(
    ops: Sequence[Op], wanted: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names in the graph, names that aren't), so that one list serves both formats.

    The name of an ONNX layer also stands for its product in OpenVINO, and the
    name of OpenVINO's product for the ONNX layer.
    """
    have = {op.name for op in ops}
    found: dict[str, None] = {}
    lost: list[str] = []
    for name in wanted:
        same = [n for n in (name, name + _SPLIT, name.removesuffix(_SPLIT)) if n in have]
        found.update(dict.fromkeys(same))
        if not same:
            lost.append(name)
    return tuple(found), tuple(lost)


def kept_layers(
    ops: Sequence[Op], ignored: Iterable[str], *, first: bool, last: bool
) -> tuple[dict[str, str], tuple[Note, ...]]:
    """Operators to leave alone, each with its reason, and notes on names that aren't there."""
    found, lost = resolve_names(ops, ignored)
    kept = dict.fromkeys(found, "named in 'ignored'")
    if first:
        kept.update(dict.fromkeys(first_layers(ops), "next to an input (keep_first)"))
    if last:
        kept.update(dict.fromkeys(last_layers(ops), "next to an output (keep_last)"))
    notes = (Note(name, "Named in 'ignored', but no operator has that name.") for name in lost)
    return kept, tuple(notes)


def lost_in_int8(ops: Iterable[Op]) -> dict[str, str]:
    """Operators that static int8 would ruin, each with the reason."""
    return {op.name: _LOST[op.kind] for op in ops if op.kind in _LOST}


def left_wide(
    before: Sequence[Op], after: Sequence[Op], kept: dict[str, str], quantiser: str
) -> tuple[Note, ...]:
    """One note for each layer with weights that is still float."""
    narrow = set(quantised(after))
    own = f"the rules of {quantiser} leave it out"
    wide = (name for name in weighted(before) if name not in narrow)
    return tuple(
        Note(name, f"Left in float: {kept.get(name, own)}.")
        for name in dict.fromkeys((*wide, *lost_in_int8(before)))
    )


def describe_onnx(model: onnx.ModelProto) -> tuple[Op, ...]:
    """Operators of an ONNX graph in its own (topological) order; nodes must have names."""
    made: dict[str, str] = {}
    fixed = {tensor.name for tensor in model.graph.initializer}
    ops: list[Op] = []
    for node in model.graph.node:
        inputs = [name for name in node.input if name]
        parents = tuple(made[name] for name in inputs if name in made)
        weight = any(name in fixed for name in inputs)
        alone = node.op_type == "Constant" or (weight and fixed.issuperset(inputs))
        if alone:
            fixed.update(node.output)
        made.update(dict.fromkeys(node.output, node.name))
        ops.append(Op(node.name, node.op_type, parents, weight, alone))
    return tuple(ops)


def describe_ir(model: openvino.Model) -> tuple[Op, ...]:
    """Operators of an OpenVINO model in topological order, constants left out."""
    fixed: set[str] = set()
    ops: list[Op] = []
    for node in model.get_ordered_ops():
        name, kind = node.get_friendly_name(), node.get_type_name()
        parents = tuple(
            value.get_source_output().get_node().get_friendly_name() for value in node.inputs()
        )
        weight = any(parent in fixed for parent in parents)
        alone = kind == "Constant" or (weight and fixed.issuperset(parents))
        if alone:
            fixed.add(name)
        if kind != "Constant":
            ops.append(Op(name, kind, parents, weight, alone))
    return tuple(ops)

"""In how many bytes values travel between the operators that do arithmetic; pure.

A quantised graph states most of its values as float32: an integer is widened
just before the operator that takes it, and what comes out is narrowed only
after the activation. Engines fuse both into the operator, so what travels is
the narrow form. Two rules say so, for ONNX and OpenVINO alike:

- what is *read* has the width of what stands before a DequantizeLinear, or one
  byte behind a FakeQuantize of at most 256 levels, also through operators that
  only move elements (a pooling, a transpose);
- what is *written* is one byte wide where everything that takes it, through
  elementwise operators, quantises it.

An engine may fuse less than that: the widths are a lower bound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Node", "Widths", "widths_moved"]

# Not DynamicQuantizeLinear: it needs the range of all that was written before.
_QUANTISES = frozenset({"QuantizeLinear", "FakeQuantize"})
# They give elements of their first input in another order, or fewer of them.
_MOVES = frozenset(
    {
        *("Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "MaxPool"),
        *("Slice", "StridedSlice", "Split", "VariadicSplit", "DepthToSpace", "SpaceToDepth"),
    }
)
# Engines put these behind the arithmetic before anything is written.
_FUSES = frozenset(
    {
        *("Add", "Sub", "Mul", "Subtract", "Multiply", "Relu", "PRelu", "LeakyRelu", "Elu"),
        *("Clip", "Clamp", "Sigmoid", "HardSigmoid", "HardSwish", "HSwish", "HSigmoid"),
        *("Swish", "Mish", "Gelu", "Tanh", "Erf", "BatchNormalization"),
    }
)


@dataclass(frozen=True)
class Node:
    """One operator: its kind, and the names of the values that it takes and gives."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Widths:
    """Bytes of one element of each value: as its takers read it, and as its maker writes it."""

    read: Mapping[str, float]
    written: Mapping[str, float]


def widths_moved(
    nodes: Sequence[Node], stated: Mapping[str, float], outputs: Collection[str]
) -> Widths:
    """How wide values travel.

    Args:
        nodes: in topological order; a FakeQuantize with more than 256 levels is
            given under another kind.
        stated: bytes of one element of each value, by its stated type.
        outputs: values that the graph gives, which keep their stated type.
    """
    read = dict(stated)
    takers: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        for name in node.inputs:
            takers[name].append(node)
        source = node.inputs[0] if node.inputs else ""
        for name in node.outputs:
            if node.kind == "FakeQuantize":
                read[name] = 1.0
            elif node.kind == "DequantizeLinear" or node.kind in _MOVES:
                read[name] = min(read.get(source, 4.0), stated.get(name, 4.0))
    narrowed: dict[str, bool] = dict.fromkeys(outputs, False)
    for node in reversed(nodes):
        for name in node.outputs:
            known = narrowed.get(name, True)
            narrowed[name] = known and _all_quantise(takers[name], narrowed)
    written = {name: 1.0 if narrowed.get(name, False) else width for name, width in stated.items()}
    return Widths(read, written)


def _all_quantise(takers: Sequence[Node], narrowed: Mapping[str, bool]) -> bool:
    """Whether each taker quantises, or fuses and is quantised itself."""
    return bool(takers) and all(
        node.kind in _QUANTISES
        or (
            node.kind in _FUSES | _MOVES and all(narrowed.get(name, False) for name in node.outputs)
        )
        for node in takers
    )

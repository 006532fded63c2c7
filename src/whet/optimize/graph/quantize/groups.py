"""Which operators a quantiser feeds, and which of them must be cut together; pure.

A quantiser on an activation serves every operator that reads it, so making one
of them float again leaves the quantiser, and its error, in place. A group is
therefore a connected component of "reads the same quantised activation",
together with the quantisers of its members' weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from whet.core.evidence import LayerTime
from whet.optimize.graph.quantize.layers import Op, weighted

# Element by element, on the result of one operator.
_FOLLOW = frozenset(
    {
        *("Add", "Sub", "Subtract", "Mul", "Multiply", "Relu", "Clip", "Clamp", "LeakyRelu"),
        *("PRelu", "Elu", "Gelu", "Sigmoid", "Tanh", "HardSwish", "HSwish", "Swish", "Erf"),
    }
)

__all__ = ["Group", "Quantiser", "group_ms", "group_quantisers", "stem"]


class Quantiser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One quantiser: its node's name and the operators that compute with its output."""

    name: str
    feeds: tuple[str, ...]
    weight: bool


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Operators that are quantised or float together.

    Attributes:
        name: of its first operator with weights, or else of its first operator.
        members: the operators; as ``ignored`` of a quantiser they make the group float.
        quantisers: nodes that are there for this group alone.
        fused: biases and activations behind the members, which runtimes fuse
            with them and may name the result after.
    """

    name: str
    members: tuple[str, ...]
    quantisers: tuple[str, ...]
    fused: tuple[str, ...] = ()


def group_quantisers(quantisers: Sequence[Quantiser], ops: Sequence[Op]) -> tuple[Group, ...]:
    """The groups of a graph, given its operators, both in the order of execution."""
    root: dict[str, str] = {}

    def find(name: str) -> str:
        root.setdefault(name, name)
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for quantiser in quantisers:
        for other in quantiser.feeds[1:]:
            root[find(other)] = find(quantiser.feeds[0])
        for name in quantiser.feeds[:1]:
            find(name)
    place = {op.name: index for index, op in enumerate(ops)}
    members: dict[str, list[str]] = {}
    for name in sorted(root, key=lambda n: place.get(n, len(place))):
        members.setdefault(find(name), []).append(name)
    owned: dict[str, list[str]] = {}
    for quantiser in quantisers:
        if quantiser.feeds:
            owned.setdefault(find(quantiser.feeds[0]), []).append(quantiser.name)
    known = set(weighted(ops))
    behind = _follow_ups(ops, stop=frozenset(root))
    return tuple(
        Group(
            name=next((n for n in names if n in known), names[0]),
            members=tuple(names),
            quantisers=tuple(owned[key]),
            fused=tuple(follow for name in names for follow in behind(name)),
        )
        for key, names in members.items()
    )


def _follow_ups(ops: Sequence[Op], stop: frozenset[str]) -> Callable[[str], list[str]]:
    """Finds the chain of biases and activations that only continues one operator's result."""
    readers: dict[str, list[Op]] = {}
    for op in ops:
        for parent in op.parents:
            readers.setdefault(parent, []).append(op)

    def chain(name: str) -> list[str]:
        found: list[str] = []
        while len(after := readers.get(name, [])) == 1:
            op = after[0]
            alone = op.constant or len(op.parents) == 1
            if op.kind not in _FOLLOW or not alone or op.name in stop:
                break
            found.append(op.name)
            name = op.name
        return found

    return chain


def group_ms(
    groups: Iterable[Group], wide: Iterable[LayerTime], narrow: Iterable[LayerTime]
) -> dict[str, float]:
    """Milliseconds that quantising each group saves, by measured times per layer.

    Args:
        groups: of the quantised graph.
        wide: profile of the float engine.
        narrow: profile of the quantised engine, on the same runtime and settings.

    Runtimes fuse operators and name the result after one of them, so a layer
    belongs to the group of which a member, or what is fused with it, has its
    name. Groups that one of the profiles doesn't name are left out.
    """
    before, after = _by_stem(wide), _by_stem(narrow)
    saved: dict[str, float] = {}
    for group in groups:
        stems = {stem(name) for name in (*group.members, *group.fused)}
        if not stems.isdisjoint(before) and not stems.isdisjoint(after):
            saved[group.name] = sum(before.get(s, 0.0) - after.get(s, 0.0) for s in sorted(stems))
    return saved


def _by_stem(layers: Iterable[LayerTime]) -> Mapping[str, float]:
    total: dict[str, float] = {}
    for layer in layers:
        name = stem(layer.name)
        total[name] = total.get(name, 0.0) + layer.ms
    return total


def stem(name: str) -> str:
    """Without what converters and runtimes append: ``/WithoutBiases``, ``_quant``, ``_kernel_time``."""
    short = name.removesuffix("_kernel_time").removesuffix("_quant").removesuffix("_nchwc")
    for end in ("/WithoutBiases", "/WithoutBiases_original"):
        short = short.removesuffix(end)
    return short

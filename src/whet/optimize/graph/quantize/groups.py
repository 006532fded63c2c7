"""Which operators a quantiser feeds, and which of them must be cut together; pure.

A quantiser on an activation serves every operator that reads it, so making one
of them float again leaves the quantiser, and its error, in place. A group is
therefore a connected component of "reads the same quantised activation",
together with the quantisers of its members' weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from whet.core.evidence import LayerTime

__all__ = ["Group", "Quantiser", "group_ms", "group_quantisers"]


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
    """

    name: str
    members: tuple[str, ...]
    quantisers: tuple[str, ...]


def group_quantisers(
    quantisers: Sequence[Quantiser], order: Sequence[str], layers: Iterable[str]
) -> tuple[Group, ...]:
    """The groups in the order of execution.

    Args:
        quantisers: all of the graph.
        order: names of all operators, in the order of execution.
        layers: those with weights, after which groups are named.
    """
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
    place = {name: index for index, name in enumerate(order)}
    members: dict[str, list[str]] = {}
    for name in sorted(root, key=lambda n: place.get(n, len(place))):
        members.setdefault(find(name), []).append(name)
    owned: dict[str, list[str]] = {}
    for quantiser in quantisers:
        if quantiser.feeds:
            owned.setdefault(find(quantiser.feeds[0]), []).append(quantiser.name)
    known = set(layers)
    return tuple(
        Group(next((n for n in names if n in known), names[0]), tuple(names), tuple(owned[key]))
        for key, names in members.items()
    )


def group_ms(
    groups: Iterable[Group], wide: Iterable[LayerTime], narrow: Iterable[LayerTime]
) -> dict[str, float]:
    """Milliseconds that quantising each group saves, by measured times per layer.

    Args:
        groups: of the quantised graph.
        wide: profile of the float engine.
        narrow: profile of the quantised engine, on the same runtime and settings.

    Runtimes fuse operators and name the result after one of them, so a layer
    belongs to the group one of whose members has its name, whole or up to a
    slash. Groups that neither profile names are left out.
    """
    before, after = _by_stem(wide), _by_stem(narrow)
    saved: dict[str, float] = {}
    for group in groups:
        stems = {_stem(member) for member in group.members}
        if any(stem in before or stem in after for stem in stems):
            saved[group.name] = sum(before.get(s, 0.0) - after.get(s, 0.0) for s in sorted(stems))
    return saved


def _by_stem(layers: Iterable[LayerTime]) -> Mapping[str, float]:
    total: dict[str, float] = {}
    for layer in layers:
        stem = _stem(layer.name)
        total[stem] = total.get(stem, 0.0) + layer.ms
    return total


def _stem(name: str) -> str:
    """Without what converters and runtimes append: ``/WithoutBiases``, ``_quant``, ``_kernel_time``."""
    stem = name.removesuffix("_kernel_time").removesuffix("_quant").removesuffix("_nchwc")
    for end in ("/WithoutBiases", "/WithoutBiases_original"):
        stem = stem.removesuffix(end)
    return stem

"""Which channels of a network can be given up together, and within which block; by Torch-Pruning.

Channels that layers share (what one makes, others scale, add to and take) go together or not at
all. Torch-Pruning's dependency graph finds such groups by tracing (Fang et al. 2023). A group that
lies within one block is a *width*: to narrow it leaves all other blocks as they are. Where an
attention splits channels into heads, the unit of a width is a whole head.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import fx, nn

from whet._optional import require
from whet.optimize.network.fitting.products import FITTED
from whet.optimize.network.structure.blocks import Block

if TYPE_CHECKING:
    import torch_pruning as tp

__all__ = ["Taken", "Width", "dependencies", "group_of", "in_tiles", "widths_of"]


@dataclass(frozen=True)
class Taken:
    """A layer that takes the channels of a width.

    Attributes:
        layer: its name.
        channels: for each unit the places among its input channels, (units, size).
    """

    layer: str
    channels: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Width:
    """Channels within a block that can be given up.

    Attributes:
        name: of the layer that makes them; of several, the first.
        block: the block's name.
        units: how many there are.
        unit: channels of each.
        made_by: layers that make them.
        taken_by: those that take them.
    """

    name: str
    block: str
    units: int
    unit: int
    made_by: tuple[str, ...]
    taken_by: tuple[Taken, ...]


def in_tiles(units: int, share: float, tile: int) -> int:
    """So many of some units as come nearest to a share of them, in whole tiles where there are more."""
    step = tile if units > tile else 1
    return max(step, round(units * share / step) * step)


def dependencies(module: fx.GraphModule, inputs: tuple[torch.Tensor, ...]) -> tp.DependencyGraph:
    """What depends on what in a network.

    Args:
        module: from `whet.optimize.network.layers.with_layers`.
        inputs: an example; two rows are enough.
    """
    pruning: Any = require("torch_pruning", "narrow a network")
    trained = [p.requires_grad for p in module.parameters()]
    try:
        for parameter in module.parameters():  # it traces by gradients
            parameter.requires_grad_(parameter.is_floating_point())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parameters that it doesn't know
            return pruning.DependencyGraph().build_dependency(module, example_inputs=inputs)
    finally:
        for parameter, was in zip(module.parameters(), trained, strict=True):
            parameter.requires_grad_(was)


def group_of(
    graph: tp.DependencyGraph, layer: nn.Module, channels: Sequence[int]
) -> Any:  # a tp.Group; the library is untyped
    """All that goes with some output channels of a layer."""
    pruning: Any = require("torch_pruning", "narrow a network")
    linear = isinstance(layer, nn.Linear)
    prune = pruning.prune_linear_out_channels if linear else pruning.prune_conv_out_channels
    return graph.get_pruning_group(layer, prune, list(channels))


def widths_of(
    module: fx.GraphModule, blocks: Iterable[Block], graph: tp.DependencyGraph
) -> tuple[Width, ...]:
    """The widths of all blocks, in the order of the layers that make them."""
    nodes = {node.name: node for node in module.graph.nodes}
    lies_in = {
        str(nodes[name].target): block.name
        for block in blocks
        for name in block.span.members
        if nodes[name].op == "call_module"
    }
    uses = [str(n.target) for n in module.graph.find_nodes(op="call_module")]
    once = {name for name in uses if uses.count(name) == 1}
    names = {layer: name for name, layer in module.named_modules()}
    found: list[Width] = []
    made = set[str]()
    for node in module.graph.find_nodes(op="call_module"):
        name, layer = str(node.target), module.get_submodule(str(node.target))
        if name in made or not isinstance(layer, FITTED) or getattr(layer, "transposed", False):
            continue
        group = group_of(graph, layer, range(len(layer.weight)))
        width = _width(module, name, group, names, once, lies_in)
        made.update(_made_by(group, names))
        if width is not None:
            found.append(width)
    return tuple(found)


def _width(
    module: fx.GraphModule,
    name: str,
    group: Any,
    names: dict[nn.Module, str],
    once: set[str],
    lies_in: dict[str, str],
) -> Width | None:
    """A group as a width; ``None`` where it reaches out of the block, or is taken by no layer."""
    layers = {names[item.dep.target.module] for item in group if item.dep.target.module in names}
    if not all(_named(item, names) for item in group) or not layers <= once:
        return None
    if len({lies_in.get(each, "") for each in layers}) != 1 or name not in lies_in:
        return None
    channels = len(group[0].idxs)
    unit = _unit(module, layers, channels)
    taken = [
        Taken(names[item.dep.target.module], _units(item, channels, unit))
        for item in group
        if _takes(item)
    ]
    plain = all(
        isinstance(layer := module.get_submodule(each.layer), FITTED)
        and getattr(layer, "groups", 1) == 1
        # Of queries, keys and values from one layer, only the values come as far as this one.
        and all(each.channels)
        for each in taken
    )
    if not taken or not plain or unit == channels:
        return None
    made_by = _made_by(group, names)
    return Width(name, lies_in[name], channels // unit, unit, made_by, tuple(taken))


def _named(item: Any, names: dict[nn.Module, str]) -> bool:
    """Whether a member is a layer of the network's own, or an operator without weights."""
    target = item.dep.target
    if target.module in names:
        return True
    return (
        not isinstance(target.module, nn.Parameter) and "Output" not in type(target.module).__name__
    )


def _takes(item: Any) -> bool:
    return isinstance(item.dep.target.module, FITTED) and not _makes(item)


def _makes(item: Any) -> bool:
    module: nn.Module = item.dep.target.module
    return "out_channels" in item.dep.handler.__name__ or getattr(module, "groups", 1) > 1


def _made_by(group: Any, names: dict[nn.Module, str]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            names[item.dep.target.module]
            for item in group
            if isinstance(item.dep.target.module, FITTED) and _makes(item)
        )
    )


def _units(item: Any, channels: int, unit: int) -> tuple[tuple[int, ...], ...]:
    """Places of each unit's channels among a layer's inputs, in order."""
    places: list[list[int]] = [[] for _ in range(channels // unit)]
    for place, root in zip(item.idxs, item.root_idxs, strict=True):
        places[root // unit].append(place)
    return tuple(tuple(sorted(each)) for each in places)


def _unit(module: fx.GraphModule, layers: Iterable[str], channels: int) -> int:
    """Channels that stay together: those of a head where the channels are split into heads."""
    heads = [
        size
        for name in layers
        for node in module.graph.find_nodes(op="call_module", target=name)
        for size in _splits(node, channels)
    ]
    return math.lcm(*heads) if heads and channels % math.lcm(*heads) == 0 else 1


def _splits(node: fx.Node, channels: int) -> Iterator[int]:
    """Last sizes of reshapes that split a value's last axis."""
    for user in node.users:
        value = node.meta.get("val")
        shape = tuple(getattr(user.meta.get("val"), "shape", ()))
        if value is None or user.op != "call_function" or not shape:
            continue
        last = shape[-1]
        splits = len(shape) > value.dim() and isinstance(last, int) and last < channels
        if splits and value.shape[-1] == channels:
            yield last

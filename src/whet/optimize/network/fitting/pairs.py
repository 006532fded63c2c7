"""Pairs of layers in the place of one: which layers can give way to one, and how it is put in.

The second of a pair keeps the layer's name, so that it is found, and fitted, wherever the
original's layer is meant; the first stands before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import nn

from whet.core.note import Note
from whet.errors import PostconditionError
from whet.optimize.network.fitting.products import FITTED
from whet.optimize.network.structure.modules import copied, free_name, part_at
from whet.optimize.network.structure.net import Net

__all__ = ["check_pairs", "replaceable", "with_pairs"]


def replaceable(
    net: Net, reason: Callable[[nn.Module], str | None]
) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Layers that can give way to a pair, in order, and why others can't.

    Layers that aren't the original's (a bridge, the first of a pair) are neither.

    Args:
        net: as it is by now.
        reason: why a layer by itself can't; ``None`` where it can.
    """
    calls = net.module.graph.find_nodes(op="call_module")
    uses = Counter(str(node.target) for node in calls)
    inside = {name for block in net.cut.blocks for name in block.span.members}
    found: dict[str, None] = {}
    notes: list[Note] = []
    for node in calls:
        name, layer = str(node.target), net.module.get_submodule(str(node.target))
        if not isinstance(layer, FITTED) or part_at(net.original, name) is None or name in found:
            continue
        if uses[name] > 1:
            notes.append(Note(name, "It stays whole: it is used in several places."))
        elif node.name not in inside:
            notes.append(Note(name, "It stays whole: it lies in no block."))
        elif name in net.pairs.values():
            notes.append(Note(name, "It stays as it is: it is the second of a pair already."))
        elif name in net.sparse:
            notes.append(Note(name, "It stays as it is: it is sparse."))
        elif (said := reason(layer)) is not None:
            notes.append(Note(name, said))
        else:
            found[name] = None
    return tuple(found), tuple(dict.fromkeys(notes))


def with_pairs(net: Net, made: Mapping[str, tuple[FITTED, FITTED]], suffix: str) -> Net:
    """The network with pairs in the places of some layers.

    Args:
        net: it stays as it is.
        made: the two layers, by the name of the one that gives way.
        suffix: that tells the first one's name from the second's.
    """
    module, pairs = copied(net.module), dict(net.pairs)
    taken = {name for each in (module, net.original) for name, _ in each.named_modules()}
    for name, (first, second) in made.items():
        new = free_name(f"{name}_{suffix}", taken)
        taken.add(new)
        (node,) = module.graph.find_nodes(op="call_module", target=name)
        module.add_submodule(new, first)
        module.set_submodule(name, second)
        with module.graph.inserting_before(node):
            node.replace_input_with(node.args[0], module.graph.call_module(new, node.args[:1]))
        pairs[new] = name
    module.recompile()
    return replace(net, module=module, pairs=pairs)


def check_pairs(net: Net) -> None:
    """Say where the two of a pair don't fit together.

    Raises:
        PostconditionError: the second takes other channels than the first gives.
    """
    for first, second in net.pairs.items():
        if part_at(net.module, first) is None:  # its block was left out
            continue
        layer = net.module.get_submodule(second)
        rows = len(net.module.get_submodule(first).weight)
        takes = layer.weight.shape[1] * getattr(layer, "groups", 1)
        if rows != takes:
            raise PostconditionError(
                f"'{first}' gives {rows} channels, and '{second}' takes {takes}.",
                "Report this with the network.",
            )

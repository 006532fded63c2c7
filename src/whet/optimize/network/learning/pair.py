"""A network and its original in the form in which one teaches the other (see `train`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import fx
from torch.utils._pytree import tree_flatten

from whet.optimize.network.structure.modules import over_parts, part_at
from whet.optimize.network.structure.net import Kept, Net

__all__ = ["pair_of"]


def pair_of(net: Net) -> tuple[fx.GraphModule, fx.GraphModule]:
    """The network and its original, as one teaches the other.

    Both are over the layers that they have: what one of them learns, the network has learnt.
    """
    if net.came is not None or net.merged:  # what lies between has other sizes: answers count
        return _telling(net.module), _telling(net.teacher)
    exits = tuple(block.span.exit for block in net.cut.blocks)
    return _telling(net.module, exits), _telling(net.original, exits, net.stream)


def _telling(
    module: fx.GraphModule,
    names: tuple[str, ...] = (),
    stream: Mapping[str, Kept] = MappingProxyType({}),
) -> fx.GraphModule:
    """The network over the same layers, which gives the values named besides its answers.

    It takes its inputs one after another, and gives two tuples of tensors.

    Args:
        module: the network.
        names: of the values.
        stream: which channels of them, where not all.
    """
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    answers = graph.graph_copy(module.graph, copies)
    flat = [n for n in tree_flatten(answers)[0] if isinstance(n, fx.Node)]
    by_name = {node.name: copy for node, copy in copies.items()}
    between, places = list[fx.Node](), dict[str, torch.Tensor]()
    for name in names:
        if by_name[name] in flat:
            continue
        if name in stream:
            held = f"channels_of_{name}"
            places[held] = stream[name].channels
            picked = (by_name[name], stream[name].axis, graph.get_attr(held))
            between.append(graph.call_function(torch.index_select, picked))
        else:
            between.append(by_name[name])
    graph.output((tuple(flat), tuple(between)))
    return over_parts(graph, lambda path: places.get(path, part_at(module, path)))

"""A network with tokens merged behind some blocks, and all that comes after written for fewer.

Theory of operation. The network is run on an example twice at once: as it is, and as it is being
written anew. An axis holds tokens where the two differ in size, so nothing has to know where an
operator puts them. What is made from merged tokens goes on as it did, but for a few operators over
them (`whet.optimize.network.tokens.operators`). Then tokens that are alike can be merged without a
change to the answer, which `whet.optimize.network.tokens.laws` holds a network to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import fx

from whet.optimize.network.tokens.attention import Attention, Keys
from whet.optimize.network.tokens.both import Both, Tokens
from whet.optimize.network.tokens.merging import Merging
from whet.optimize.network.tokens.operators import written_for_fewer

__all__ = ["with_fewer_tokens"]

_aten = torch.ops.aten


def with_fewer_tokens(
    module: fx.GraphModule,
    inputs: Sequence[torch.Tensor],
    merged: Mapping[Attention, int],
    first: int,
) -> fx.GraphModule:
    """The network with tokens merged; its layers are shared with the one given.

    Args:
        module: the network; it stays as it is.
        inputs: an example, of two rows or more.
        merged: how many tokens are merged behind each of some blocks.
        first: tokens that stay as they are.

    Raises:
        RequirementError: something behind the blocks needs the number of tokens that there were.
    """
    both, nodes = Both(module, inputs), {node.name: node for node in module.graph.nodes}
    at = {a.block.span.exit: (a, fewer) for a, fewer in merged.items() if fewer}
    waiting = {node: len(node.users) for node in module.graph.nodes}
    for attention, _ in at.values():
        if attention.keys is not None:
            waiting[nodes[attention.keys.name]] += 1
    with torch.no_grad():
        for node in module.graph.nodes:
            both.run(node)
            both.copies[node] = written_for_fewer(both, node)
            both.see(node)
            for before in node.all_input_nodes:
                waiting[before] -= 1
            if node.name in at:
                attention, fewer = at[node.name]
                _merge(both, node, nodes, attention, Merging(fewer, first))
                if attention.keys is not None:
                    waiting[nodes[attention.keys.name]] -= 1
            both.forget(waiting)
    return both.new.done()


def _merge(
    both: Both,
    node: fx.Node,
    nodes: Mapping[str, fx.Node],
    attention: Attention,
    merging: Merging,
) -> None:
    """Let a block's answer go on with fewer tokens."""
    before, answer = both.tokens.get(node), both.copies[node]
    told = answer if attention.keys is None else _told(both, nodes, attention.keys)
    sizes = () if before is None else (before.sizes,)
    name = f"merge_{attention.block.name.replace('.', '_')}"
    made = both.new.part(name, merging, answer, told, *sizes)
    tokens, sizes_now = (both.new.item(made, place) for place in range(2))
    gone = (0 if before is None else before.gone) + merging.fewer
    count = both.new.values[tokens].shape[1]
    both.merge(node, tokens, Tokens(sizes_now, count, gone))


def _told(both: Both, nodes: Mapping[str, fx.Node], keys: Keys) -> fx.Node:
    """Keys as (rows, tokens, width): the mean over heads."""
    mean = both.new.call(_aten.mean.dim, both.copies[nodes[keys.name]], [1])
    return both.new.call(_aten.transpose.int, mean, 1, 2) if keys.turned else mean

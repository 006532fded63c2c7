"""Blocks of a network that attend over tokens, and the keys by which they do.

A block attends where a softmax runs over as many values as it has tokens, or torch's own operator
for attention stands in it. Keys are what attention itself compares tokens by, so they tell which
are alike; where the graph doesn't show them with their heads apart, the tokens themselves do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx

from whet.optimize.network.structure.blocks import Block
from whet.optimize.network.structure.modules import made_from
from whet.optimize.network.structure.net import Net, example_of

__all__ = ["ATTENTION", "SOFTMAX", "Attention", "Keys", "attentions_in", "same_tokens"]

_aten = torch.ops.aten

ATTENTION = _aten.scaled_dot_product_attention.default
SOFTMAX = (_aten.softmax.int, _aten._softmax.default)  # noqa: SLF001 - an operator's own name
_PRODUCTS = (_aten.matmul.default, _aten.bmm.default)
_APART = 4  # axes of keys whose heads are apart: (rows, heads, tokens, width)

_Shapes = Mapping[fx.Node, tuple[int, ...]]


@dataclass(frozen=True)
class Keys:
    """Where a block's keys are.

    Attributes:
        name: of the value, (rows, heads, tokens, width).
        turned: whether its last two axes are the other way round.
    """

    name: str
    turned: bool


@dataclass(frozen=True)
class Attention:
    """A block that attends over tokens.

    Attributes:
        block: what it takes and gives are (rows, tokens, channels).
        tokens: how many there are, on the example where any number may come.
        keys: of it; ``None`` where they don't show.
    """

    block: Block
    tokens: int
    keys: Keys | None

    @property
    def fixed(self) -> bool:
        """Whether there are always as many."""
        return isinstance(self.block.gives[1], int)


def attentions_in(net: Net) -> tuple[Attention, ...]:
    """Those of a network as it is by now, in order."""
    shapes = _shapes(net.module, example_of(net))
    nodes = {node.name: node for node in net.module.graph.nodes}
    found = []
    for block in net.cut.blocks:
        ends = nodes.get(block.span.exit)
        if block.takes is None or ends is None or not _over_tokens(block):
            continue
        inside = made_from(ends, {nodes[name] for name in block.inputs if name in nodes})
        tokens = shapes[ends][1]
        cores = [node for node in inside if _attends(node, shapes, tokens)]
        if cores:
            found.append(Attention(block, tokens, _keys(cores[-1], inside, shapes, tokens)))
    return tuple(found)


def same_tokens(module: fx.GraphModule, attentions: Sequence[Attention]) -> tuple[Attention, ...]:
    """Those of some blocks that attend over the tokens of the first of them; others have their own."""
    nodes = {node.name: node for node in module.graph.nodes}
    made: set[fx.Node] = set()
    for node in module.graph.nodes:
        begins = bool(attentions) and node.name == attentions[0].block.span.exit
        if begins or made.intersection(node.all_input_nodes):
            made.add(node)
    return tuple(
        each
        for each in attentions
        if each.tokens == attentions[0].tokens and nodes[each.block.span.exit] in made
    )


def _over_tokens(block: Block) -> bool:
    takes, gives = block.takes or (), block.gives
    return len(gives) == len(takes) == len("NTC") and takes[1] == gives[1]


def _attends(node: fx.Node, shapes: _Shapes, tokens: int) -> bool:
    if node.target is ATTENTION:
        return bool(shapes[node.args[1]][-2] == tokens)
    return node.target in SOFTMAX and shapes[node][node.args[1]] == tokens


def _keys(core: fx.Node, inside: Sequence[fx.Node], shapes: _Shapes, tokens: int) -> Keys | None:
    found = core.args[1] if core.target is ATTENTION else _compared(core, inside, shapes)
    turned = core.target is not ATTENTION
    if not isinstance(found, fx.Node) or len(shapes[found]) != _APART:
        return None
    if shapes[found][-1 if turned else -2] != tokens:
        return None
    return Keys(found.name, turned)


def _compared(core: fx.Node, inside: Sequence[fx.Node], shapes: _Shapes) -> fx.Node | None:
    """What queries are multiplied by, where scores are such a product with something done to it."""
    node: fx.Node | None = core.args[0]
    while node is not None and node.target not in _PRODUCTS:
        before = [
            n for n in node.all_input_nodes if n in inside and shapes.get(n) == shapes.get(core)
        ]
        node = before[0] if len(before) == 1 else None
    return None if node is None else node.args[1]


def _shapes(
    module: fx.GraphModule, inputs: Sequence[torch.Tensor]
) -> dict[fx.Node, tuple[int, ...]]:
    """Of all values that are tensors."""

    class Seeing(fx.Interpreter):  # type: ignore[misc] # as torch is not typed
        def run_node(self, n: fx.Node) -> object:
            made = super().run_node(n)
            if isinstance(made, torch.Tensor):
                found[n] = tuple(made.shape)
            return made

    found: dict[fx.Node, tuple[int, ...]] = {}
    with torch.no_grad():
        Seeing(module).run(*inputs)
    return found

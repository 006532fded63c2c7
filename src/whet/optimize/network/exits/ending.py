"""Where a network can end early, and how it is cut off there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import fx, nn

from whet.errors import RequirementError
from whet.optimize.network.exits.point import Point, Points
from whet.optimize.network.exits.pool import pools_for
from whet.optimize.network.structure.blocks import Block, Blocks, Shape
from whet.optimize.network.structure.last import has_weights, last_value
from whet.optimize.network.structure.modules import free_name, made_from, over_parts, part_at
from whet.optimize.network.structure.net import Net
from whet.optimize.network.structure.segment import Span
from whet.optimize.network.students.body import rows_of

__all__ = ["Ending", "ended", "ending_at", "points_of"]

_HEAD = "exit_head"
_LEAST_CLASSES = 2
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class Ending:
    """A block that a network can end behind.

    Attributes:
        block: of it.
        scores: the value that layers make last, which the head is to give.
        gives: its shape.
        mask: the input that names tokens, where there is one.
        blocks: those that it takes to get there, the block included.
    """

    block: Block
    scores: str
    gives: Shape
    mask: str | None
    blocks: tuple[Block, ...]

    @property
    def ones(self) -> int:
        """Axes of size one that the scores have at the end."""
        return len(self.gives) - len(("rows", "classes"))


def ending_at(net: Net, name: str) -> Ending:
    """The end behind a block.

    Args:
        net: as it is by now.
        name: of the block.

    Raises:
        RequirementError: there is no such block, the network's answers are no scores of classes, or
            it can't end there.
    """
    block, scores = net.block(name), last_value(net.original, _refusal)
    gives = _shape(scores)
    sizes = gives[1:]
    if not sizes or not isinstance(sizes[0], int) or sizes[0] < _LEAST_CLASSES:
        raise _refusal(f"its last layer gives {_said(gives)}, no scores of classes")
    if any(size != 1 for size in sizes[1:]):
        raise _refusal(f"its last layer gives {_said(gives)}, not one row of scores a sample")
    nodes = {node.name: node for node in net.module.graph.nodes}
    value, last = nodes.get(block.span.exit), nodes.get(scores.name)
    if last is None or value is None:
        raise RequirementError(
            "What the last layer gives isn't there any more, or what the block does.",
            "Leave the last block, and this one, to be replaced by no pass before.",
        )
    all_, inside = {*made_from(last, ())}, {*made_from(value, ())}
    left = [node for node in all_ - inside if has_weights(net.module, node)]
    if value not in all_ or len(left) < 2:  # one is the last layer itself
        raise RequirementError(
            f"Behind '{name}' there is nothing to be left out but the last layer.",
            "Name a block further in front.",
        )
    mask = _mask(net, block.gives)
    if not value.meta["val"].is_floating_point() or not pools_for(
        block.gives, tuple(s if isinstance(s, int) else 0 for s in block.gives), mask=bool(mask)
    ):
        raise RequirementError(
            f"'{name}' gives {_said(block.gives)}, of which no row of numbers can be made.",
            "Name another block.",
        )
    stay = tuple(b for b in net.cut.blocks if nodes.get(b.span.exit) in inside)
    return Ending(block, scores.name, gives, mask, stay)


def ended(net: Net, ending: Ending, head: nn.Module, taken: Sequence[str]) -> Net:
    """The network with a head in the place of all that lay behind a block.

    To the passes that come after it the head is one more block, which gives what the original's
    last layer does.

    Args:
        net: it stays as it is.
        ending: where.
        head: takes what the block gives, then what else is named; it is taken over, not copied.
        taken: inputs of the network that the head takes besides.
    """
    names = {name for module in (net.module, net.original) for name, _ in module.named_modules()}
    exit_ = ending.block.span.exit
    module = _cut_off(net.module, (exit_, *taken), ending.scores, head, free_name(_HEAD, names))
    span = Span(exit_, (ending.scores,), forks=False)
    last = Block(free_name(_HEAD, [b.name for b in ending.blocks]), span, tuple(taken), None, ())
    last = replace(last, takes=ending.block.gives, gives=ending.gives)

    def there(name: str) -> bool:
        return part_at(module, name) is not None

    values = {node.name for node in module.graph.nodes}
    return replace(
        net,
        module=module,
        cut=Blocks((*ending.blocks, last), net.cut.notes),
        kept={name: channels for name, channels in net.kept.items() if there(name)},
        pairs={name: other for name, other in net.pairs.items() if there(name)},
        sparse={name: pattern for name, pattern in net.sparse.items() if there(name)},
        stream={name: kept for name, kept in net.stream.items() if name in values},
        ends_behind=ending.block.name,
    )


def points_of(net: Net) -> Points:
    """All blocks that a network can end behind, with the share of its multiplications by then.

    Args:
        net: to which nothing was done yet.
    """
    found, reason = list[Point](), "no block has layers before and behind it"
    module = net.original
    nodes = {node.name: node for node in module.graph.nodes}
    work = {node: _work(module, node) for node in module.graph.find_nodes(op="call_module")}
    whole = sum(work.values())
    for block in net.cut.blocks:
        try:
            ending = ending_at(net, block.name)
        except RequirementError as error:
            reason = error.message
            continue
        done = sum(work.get(node, 0) for node in made_from(nodes[block.span.exit], ()))
        if done and done < whole:
            found.append(Point(block.name, done / whole, tuple(b.name for b in ending.blocks)))
    return Points(tuple(found), "" if found else reason)


def _cut_off(
    module: fx.GraphModule, taken: Sequence[str], given: str, head: nn.Module, name: str
) -> fx.GraphModule:
    """A network whose value ``given`` a head makes from the values taken."""
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    nodes = {node.name: node for node in module.graph.nodes}
    last, own = nodes[given], [nodes[each] for each in taken]
    stays = {*made_from(module.graph.output_node(), {last})}
    stays.update(*(made_from(node, ()) for node in own))
    for node in module.graph.nodes:
        if node is last:
            inputs = tuple(copies[each] for each in own)
            copies[node] = graph.create_node("call_module", name, inputs, name=given)
            copies[node].meta = dict(node.meta)
        elif node in stays or node.op == "placeholder":
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.set_codegen(module.graph._codegen)  # noqa: SLF001 - how the inputs are given
    return over_parts(graph, lambda path: head if path == name else part_at(module, path))


def _mask(net: Net, gives: Shape) -> str | None:
    """The one input over rows and tokens, as long as the value, that chooses from no embedding."""
    if len(gives) != len(("rows", "tokens", "channels")):
        return None
    inputs = net.original.graph.find_nodes(op="placeholder")
    found = [
        node.name
        for node in inputs
        if _shape(node) == tuple(gives[:2]) and not rows_of(net.original, node)
    ]
    return found[0] if len(found) == 1 else None


def _work(module: fx.GraphModule, node: fx.Node) -> int:
    """Multiplications of a layer for one row, at the sizes that the network was traced with."""
    layer = module.get_submodule(str(node.target))
    if not isinstance(layer, _LAYERS):
        return 0
    places = node.meta["val"].shape
    places = places[1:-1] if isinstance(layer, nn.Linear) else places[2:]
    return int(layer.weight.numel()) * math.prod(map(_size, places))


def _size(dim: int | torch.SymInt) -> int:
    return dim if isinstance(dim, int) else int(dim.node.hint or 1)


def _shape(node: fx.Node) -> Shape:
    return tuple(d if isinstance(d, int) else str(d) for d in node.meta["val"].shape)


def _said(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def _refusal(why: str) -> RequirementError:
    return RequirementError(
        f"The network can't end early: {why}.",
        "Leave this pass out: it is for networks that give scores of classes, one row a sample.",
    )

"""A network in blocks that can be taken out, and others put in their place.

Built on `whet.optimize.network.structure.segment`, which knows no torch. What depends on the network's
inputs alone (masks, positions, sizes) is no part of any block: blocks take it beside the one value
that flows through them, so that a mask which all layers read doesn't tie them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from whet.core.note import Note
from whet.optimize.network.structure.modules import free_name, made_from, over_parts, part_at
from whet.optimize.network.structure.segment import Flow, Span, segment

__all__ = ["Block", "Blocks", "Shape", "blocks_of", "extracted", "replaced"]

_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
Shape = tuple[int | str, ...]
"""Sizes, with the names of those that are free."""


@dataclass(frozen=True)
class Block:
    """A part of a network with one way in and one way out.

    Attributes:
        name: of the module that its layers lie in, or of its first layer.
        span: which values it makes.
        aside: values made from the network's inputs alone that it takes, after its entry.
        takes: shape of its entry, with the names of sizes that are free; ``None`` where it has
            none.
        gives: shape of its answer.
    """

    name: str
    span: Span
    aside: tuple[str, ...]
    takes: Shape | None
    gives: Shape

    @property
    def inputs(self) -> tuple[str, ...]:
        """What it takes, in order."""
        return self.aside if self.span.entry is None else (self.span.entry, *self.aside)


@dataclass(frozen=True)
class Blocks:
    """The blocks of a network in order, and what of it is in none."""

    blocks: tuple[Block, ...]
    notes: tuple[Note, ...]


def blocks_of(module: fx.GraphModule) -> Blocks:
    """Cut a network into blocks.

    Args:
        module: from `whet.optimize.network.layers.with_layers`.
    """
    nodes = {node.name: node for node in module.graph.nodes}
    cut = segment(_flow(module))
    taken: set[str] = set()
    blocks: list[Block] = []
    for span in cut.spans:
        name = _name([nodes[n] for n in span.members], taken)
        taken.add(name)
        aside = dict.fromkeys(n.name for n in _aside([nodes[m] for m in span.members], span))
        takes = None if span.entry is None else _shape(nodes[span.entry])
        blocks.append(Block(name, span, tuple(aside), takes, _shape(nodes[span.exit])))
    notes = tuple(
        Note(
            f"{part[0]} to {part[-1]}",
            "It is left whole: no single value leads out of it.",
        )
        for part in cut.uncut
    )
    return Blocks(tuple(blocks), notes)


def extracted(module: fx.GraphModule, block: Block) -> fx.GraphModule:
    """What a network makes between a block's inputs and its answer, over the same layers.

    Args:
        module: the network that was cut, or what became of it.
        block: of the network that was cut.

    Returns:
        A module that takes `Block.inputs` in order.
    """
    nodes = {node.name: node for node in module.graph.nodes}
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for name in block.inputs:
        copies[nodes[name]] = graph.placeholder(name)
    for node in made_from(nodes[block.span.exit], copies):
        copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(copies[nodes[block.span.exit]])
    return fx.GraphModule(module, graph)


def replaced(
    module: fx.GraphModule, block: Block, other: nn.Module, *, name: str | None = None
) -> fx.GraphModule:
    """The network with another module in the place of a block; the rest is shared with the first.

    The value that the block gave keeps its name.

    Args:
        module: the network, which stays as it is; what was cut, or what became of it.
        block: of the network that was cut.
        other: takes `Block.inputs` in order and gives one tensor.
        name: of it in the network; by default the block's, without dots.
    """
    graph, copies = fx.Graph(), dict[str, fx.Node]()
    name = name or free_name(block.name.replace(".", "_"), {n for n, _ in module.named_modules()})
    nodes = {node.name: node for node in module.graph.nodes}
    inside = made_from(nodes[block.span.exit], {nodes[each] for each in block.inputs})
    gone = {node.name for node in inside if node.op != "get_attr"}
    for node in module.graph.nodes:
        if node.name == block.span.exit:
            inputs = tuple(copies[each] for each in block.inputs)
            new = graph.create_node("call_module", name, inputs, name=node.name)
            new.meta = dict(node.meta)
            copies[node.name] = new
        elif node.name not in gone:
            copies[node.name] = graph.node_copy(node, lambda before: copies[before.name])
    graph.set_codegen(module.graph._codegen)  # noqa: SLF001 - how the inputs are given
    found = over_parts(graph, lambda path: other if path == name else part_at(module, path))
    # What only the block took from the inputs has no use any more.
    found.graph.eliminate_dead_code()
    found.delete_all_unused_submodules()
    found.recompile()
    return found


def _flow(module: fx.GraphModule) -> Flow:
    """What is made from layers; what is made from the network's inputs alone is left out."""
    layers, turns = set[str](), set[str]()
    before: dict[str, tuple[str, ...]] = {}
    answers: set[str] = set()
    for node in module.graph.nodes:
        came = [n for n in node.all_input_nodes if n.name in before]
        layer = _has_weights(module, node)
        if node.op == "output":
            answers.update(n.name for n in came)
        elif came or layer:
            before[node.name] = tuple(n.name for n in came)
            if layer and not _is_norm(module, node):
                layers.add(node.name)
            elif came and _turns(node, came[0]):
                turns.add(node.name)
    nodes = {n.name: n for n in module.graph.nodes}
    single = (n for n in before if isinstance(nodes[n].meta.get("val"), torch.Tensor))
    return Flow(before, frozenset(answers), frozenset(layers), frozenset(turns), frozenset(single))


def _has_weights(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether it is a layer, or an operator over matrices of the network's own."""
    if node.op != "call_function":
        return bool(node.op == "call_module")
    own = (part_at(module, str(n.target)) for n in node.all_input_nodes if n.op == "get_attr")
    return any(isinstance(each, nn.Parameter) and each.dim() > 1 for each in own)


def _is_norm(module: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(module.get_submodule(str(node.target)), _NORMS)


def _turns(node: fx.Node, came: fx.Node) -> bool:
    """Whether one value has another shape than one that it is made from."""
    shapes = [getattr(n.meta.get("val"), "shape", None) for n in (node, came)]
    return shapes[0] != shapes[1]


def _aside(members: Sequence[fx.Node], span: Span) -> Iterator[fx.Node]:
    inside = set(span.members) | {span.entry}
    for node in members:
        for before in node.all_input_nodes:
            if before.name not in inside and before.op != "get_attr":
                yield before


def _shape(node: fx.Node) -> Shape:
    return tuple(d if isinstance(d, int) else str(d) for d in node.meta["val"].shape)


def _name(members: Sequence[fx.Node], taken: set[str]) -> str:
    """What the paths of its layers have in common, or the first of them, or its first operator."""
    paths = [str(n.target).split(".") for n in members if n.op == "call_module"]
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    choices: list[str] = [".".join(common), ".".join(paths[0]) if paths else "", members[0].name]
    return next(name for name in choices if name and name not in taken)

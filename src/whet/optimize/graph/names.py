"""Renaming values and dimension symbols inside an ONNX graph."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = [
    "drop_outputs",
    "fresh_name",
    "rename_symbols",
    "rename_values",
    "settle_sizes",
    "sort_nodes",
    "subgraphs",
    "unused_name",
    "value_names",
]


def subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and every graph inside its nodes (branches, loop bodies), outermost first."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from subgraphs(attribute.g)
            for inner in attribute.graphs:
                yield from subgraphs(inner)


def value_names(graph: onnx.GraphProto) -> set[str]:
    """Names of all values of the graph and of the graphs inside it."""
    names: set[str] = set()
    for part in subgraphs(graph):
        names.update(value.name for value in (*part.input, *part.output, *part.value_info))
        names.update(tensor.name for tensor in part.initializer)
        for node in part.node:
            names.update(node.input)
            names.update(node.output)
    return names


def fresh_name(graph: onnx.GraphProto, stem: str) -> str:
    """``stem``, or ``stem`` with a number, such that no value has that name yet."""
    return unused_name(value_names(graph), stem)


def unused_name(taken: set[str], stem: str) -> str:
    """``stem``, or ``stem`` with a number, such that it isn't among those taken."""
    if stem not in taken:
        return stem
    return next(name for n in range(1, len(taken) + 2) if (name := f"{stem}_{n}") not in taken)


def rename_values(graph: onnx.GraphProto, wanted: Mapping[str, str]) -> None:
    """Rename values everywhere, in place.

    A value that has a wanted name already and isn't renamed itself steps
    aside: exporters call inner values after modules ("embedding"), which
    would collide with an output of that name.
    """
    wanted = {old: new for old, new in wanted.items() if old != new}
    if not wanted:
        return
    taken = value_names(graph)
    moves = dict(wanted)
    for new in wanted.values():
        if new in taken and new not in wanted:
            moves[new] = unused_name(taken | set(moves.values()), f"{new}_inner")
    for part in subgraphs(graph):
        for value in (*part.input, *part.output, *part.value_info):
            value.name = moves.get(value.name, value.name)
        for tensor in part.initializer:
            tensor.name = moves.get(tensor.name, tensor.name)
        for node in part.node:
            node.input[:] = [moves.get(name, name) for name in node.input]
            node.output[:] = [moves.get(name, name) for name in node.output]


def rename_symbols(graph: onnx.GraphProto, wanted: Mapping[str, str]) -> None:
    """Rename dimension symbols in every stated shape, in place."""
    for part in subgraphs(graph):
        for value in (*part.input, *part.output, *part.value_info):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param in wanted:
                    dim.dim_param = wanted[dim.dim_param]


def settle_sizes(graph: onnx.GraphProto) -> None:
    """Make numbers of dimension symbols that are numbers in quotes, in place.

    torch writes a symbol so that it found equal to a number.
    """
    for part in subgraphs(graph):
        for value in (*part.input, *part.output, *part.value_info):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param.isdecimal():
                    dim.dim_value = int(dim.dim_param)


def drop_outputs(graph: onnx.GraphProto, names: Collection[str]) -> None:
    """Take outputs out of a graph, and every node and weight that only they needed, in place."""
    for value in [value for value in graph.output if value.name in names]:
        graph.output.remove(value)
    wanted = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    sort_nodes(graph)
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted |= _reads(node)
            kept.append(node)
    made = {name for node in kept for name in node.output} | {value.name for value in graph.input}
    nodes = kept[::-1]
    del graph.node[:]
    graph.node.extend(nodes)
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in wanted]:
        graph.initializer.remove(tensor)
    for value in [value for value in graph.value_info if value.name not in made]:
        graph.value_info.remove(value)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put the nodes into an order in which each comes after what it reads, in place.

    Nodes that may stay where they are keep their order (Kahn's algorithm with
    the old places as priorities).
    """
    nodes = list(graph.node)
    maker = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    waits = [
        {maker[name] for name in _reads(node) if name in maker} - {i}
        for i, node in enumerate(nodes)
    ]
    followers: dict[int, list[int]] = {}
    for place, before in enumerate(waits):
        for other in before:
            followers.setdefault(other, []).append(place)
    ready = [place for place, before in enumerate(waits) if not before]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        place = heapq.heappop(ready)
        order.append(place)
        for follower in followers.get(place, []):
            waits[follower].discard(place)
            if not waits[follower]:
                heapq.heappush(ready, follower)
    # A cycle can't be sorted; the checker will say so.
    placed = set(order)
    order += [place for place in range(len(nodes)) if place not in placed]
    if order != list(range(len(nodes))):
        sorted_nodes = [nodes[place] for place in order]
        del graph.node[:]
        graph.node.extend(sorted_nodes)


def _reads(node: onnx.NodeProto) -> set[str]:
    """What a node reads, its inner graphs included."""
    names = set(node.input)
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for part in subgraphs(inner):
                names.update(name for each in part.node for name in each.input)
    return names

"""What all that changes networks needs: a copy, a part by its path, a name that is free."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Collection, Container
from copy import deepcopy

from torch import fx, nn

from whet.optimize.quiet import quiet

__all__ = ["copied", "free_name", "made_from", "over_parts", "part_at"]


def copied(module: fx.GraphModule) -> fx.GraphModule:
    """The same network over weights of its own."""
    with quiet():  # torch warns of the way in which it keeps the form of inputs
        return deepcopy(module)


def over_parts(graph: fx.Graph, part: Callable[[str], object]) -> fx.GraphModule:
    """A graph as a network that serves, over layers and tensors found by their paths.

    Args:
        graph: of which it is told what it needs.
        part: the layer or tensor at a path; it is taken over, not copied.
    """
    needed = (str(n.target) for n in graph.nodes if n.op in ("call_module", "get_attr"))
    return fx.GraphModule({path: part(path) for path in dict.fromkeys(needed)}, graph).eval()


def part_at(module: nn.Module, path: str) -> object:
    """A layer or tensor by its path; ``None`` where there is none."""
    try:
        return operator.attrgetter(path)(module)
    except AttributeError:
        return None


def made_from(node: fx.Node, known: Container[fx.Node]) -> list[fx.Node]:
    """What isn't known of all that a value is made from, with itself, in the graph's order."""
    found, waiting = set[fx.Node](), [node]
    while waiting:
        each = waiting.pop()
        if each not in known and each not in found:
            found.add(each)
            waiting += each.all_input_nodes
    return [each for each in node.graph.nodes if each in found]


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, or the first of ``name_2``, ``name_3`` ... that isn't taken."""
    others = (f"{name}_{i}" for i in itertools.count(2))
    return next(each for each in itertools.chain([name], others) if each not in taken)

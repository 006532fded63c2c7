"""A network run over samples step by step, all batches abreast.

What is repaired or judged block by block needs the values that flow between blocks, on all samples,
for the network as it is by then. A walk holds those that are still needed, and no others: to ask
for a value computes what it is made from and forgets what nothing ahead is made from. A fork goes
another way from here on, for instance with another block's answers put in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import fx
from torch.utils._pytree import tree_flatten

from whet.optimize.network.structure.modules import made_from

__all__ = ["Walk"]

_Batches = Sequence[tuple[torch.Tensor, ...]]


class Walk:
    """Values of a network on some batches.

    Args:
        module: the network; its layers may be changed ahead of the walk, not behind it.
        batches: its inputs, in order.
    """

    def __init__(self, module: fx.GraphModule, batches: _Batches) -> None:
        self.module = module
        self._nodes = {node.name: node for node in module.graph.nodes}
        inputs = module.graph.find_nodes(op="placeholder")
        self._held: list[dict[fx.Node, object]] = [
            dict(zip(inputs, module.graph.process_inputs(*batch), strict=True)) for batch in batches
        ]

    def at(self, name: str) -> list[torch.Tensor]:
        """What a value is on each batch. What no value ahead needs is forgotten."""
        return [held[self._nodes[name]] for held in self._to(self._nodes[name])]

    def together(self, names: Sequence[str]) -> list[tuple[torch.Tensor, ...]]:
        """Several values on each batch, as `at`."""
        return list(zip(*[self.at(name) for name in names], strict=True))

    def answers(self) -> list[list[torch.Tensor]]:
        """The tensors that the network gives for each batch; the walk is over then."""
        (end,) = self.module.graph.find_nodes(op="output")
        given = (tree_flatten(held[end])[0] for held in self._to(end))
        return [[t for t in each if isinstance(t, torch.Tensor)] for each in given]

    def fork(self) -> Walk:
        """Another walk from here on."""
        other = object.__new__(Walk)
        other.module, other._nodes = self.module, self._nodes
        other._held = [dict(held) for held in self._held]
        return other

    def put(self, name: str, values: Sequence[torch.Tensor]) -> None:
        """Say what a value is on each batch; what only it is made from isn't computed any more."""
        for held, value in zip(self._held, values, strict=True):
            held[self._nodes[name]] = value

    def _to(self, node: fx.Node) -> list[dict[fx.Node, object]]:
        """Compute a value; gives what was held when it was just known, and forgets."""
        order = made_from(node, self._held[0].keys())
        run = fx.Interpreter(self.module, garbage_collect_values=False)
        found = []
        with torch.no_grad():
            for place, held in enumerate(self._held):
                run.env = held
                for each in order:
                    held[each] = run.run_node(each)
                found.append({node: held[node]})
                needed = self._needed(held, node)
                self._held[place] = {n: value for n, value in held.items() if n in needed}
        return found

    def _needed(self, held: dict[fx.Node, object], node: fx.Node) -> set[fx.Node]:
        """What values ahead are made from, and the value itself while it has a use."""
        ends = self.module.graph.find_nodes(op="output")
        ahead = made_from(ends[0], held.keys())
        needed = {before for each in ahead for before in each.all_input_nodes if before in held}
        return needed | {node} if node.op != "output" else set()

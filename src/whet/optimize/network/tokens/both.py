"""Two runs of a network at once, on one example: as it is, and as it is written for fewer tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.utils._pytree import tree_flatten

from whet.errors import RequirementError
from whet.optimize.network.tokens.written import Written

__all__ = ["LEAVE", "Both", "Tokens"]

LEAVE = "Leave its tokens as they are."

_aten = torch.ops.aten


@dataclass(frozen=True)
class Tokens:
    """What became of the tokens of a value.

    Attributes:
        sizes: the value that says how many each stands for, (rows, tokens, 1).
        count: how many there are.
        gone: how many there aren't any more.
    """

    sizes: fx.Node
    count: int
    gone: int

    def tell(self, now: Sequence[int], was: Sequence[int]) -> bool:
        """Whether two shapes differ in the number of tokens alone, or of tokens for each of others."""
        return all(
            a == b or a * (self.count + self.gone) == b * self.count
            for a, b in zip(now, was, strict=True)
        )


class Both:
    """What both runs know by now.

    Args:
        module: as it is.
        inputs: of it, two rows or more.
    """

    def __init__(self, module: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> None:
        self.new = Written(module)
        self.copies: dict[fx.Node, fx.Node] = {}  # of each node the one in the new network
        self.tokens: dict[fx.Node, Tokens] = {}  # of values that have fewer tokens now
        self._behind: set[fx.Node] = set()
        self._fixed: set[fx.Node] = set()
        self._whole = fx.Interpreter(module, garbage_collect_values=False)
        given = module.graph.process_inputs(*inputs)
        self._whole.env = dict(zip(module.graph.find_nodes(op="placeholder"), given, strict=True))

    def run(self, node: fx.Node) -> None:
        """Find what a node gives in the network as it is."""
        if node.op != "placeholder":
            self._whole.env[node] = self._whole.run_node(node)
            if all(n in self._fixed for n in node.all_input_nodes):
                self._fixed.add(node)
        if node.target is _aten.sym_size.int:
            self._fixed.add(node)
        if self._behind.intersection(node.all_input_nodes):
            self._behind.add(node)

    def merge(self, node: fx.Node, new: fx.Node, tokens: Tokens) -> None:
        """Let another value go on in the place of a node's, with fewer tokens."""
        self.copies[node], self.tokens[node] = new, tokens
        self._behind.add(node)

    def forget(self, waiting: Mapping[fx.Node, int]) -> None:
        """All values that nothing waits for."""
        self._whole.env = {n: v for n, v in self._whole.env.items() if waiting[n]}
        kept = {self.copies[node] for node in self._whole.env if node in self.copies}
        self.new.forget(kept | {each.sizes for each in self.tokens.values()})

    def was(self, node: fx.Node) -> Any:
        """What a node gives in the network as it is."""
        return self._whole.env[node]

    def now(self, node: fx.Node) -> Any:
        """What a node of the network as it is gives in the new one."""
        return self.new.values[self.copies[node]]

    def is_behind(self, node: fx.Node) -> bool:
        """Whether a value is made from merged tokens."""
        return node in self._behind

    def is_fixed(self, node: fx.Node) -> bool:
        """Whether a value is the same whatever the inputs are, but for their sizes."""
        return node in self._fixed

    def copied(self, args: Any) -> Any:
        """Arguments with nodes of the new network in the places of those that they were made from."""
        return fx.map_arg(args, self.copies.__getitem__)

    def of(self, node: fx.Node) -> Tokens | None:
        """The tokens that a node's arguments hold.

        Raises:
            RequirementError: some hold more of them than others.
        """
        found = {self.tokens[n] for n in node.all_input_nodes if n in self.tokens}
        if len(found) > 1:
            raise RequirementError(
                f"'{node.name}' joins values of more tokens and of fewer.", LEAVE
            )
        return next(iter(found), None)

    def axes(self, node: fx.Node) -> list[int]:
        """The axes of a tensor that hold fewer tokens now."""
        sizes = zip(self.now(node).shape, self.was(node).shape, strict=True)
        return [axis for axis, (now, was) in enumerate(sizes) if now != was]

    def sizes_along(self, node: fx.Node, axis: int) -> fx.Node:
        """The sizes of a value's tokens, with as many axes as it has, for one that holds tokens.

        Where each row is there several times, for heads, they are taken to be next to each other;
        the laws find out.

        Raises:
            RequirementError: rows or tokens aren't those of the sizes.
        """
        tokens, value = self.tokens[node], self.now(node)
        times, left = divmod(value.shape[0], self.new.values[tokens.sizes].shape[0])
        if axis == 0 or left or value.shape[axis] != tokens.count:
            raise RequirementError(
                f"'{node.name}' holds tokens in a form in which they can't be weighed.", LEAVE
            )
        found = self.new.call(_aten.squeeze.dim, tokens.sizes, -1)
        if times > 1:
            found = self.new.call(_aten.unsqueeze.default, found, 1)
            found = self.new.call(_aten.expand.default, found, [-1, times, -1])
            found = self.new.call(_aten.flatten.using_ints, found, 0, 1)
        for place in range(1, value.dim()):
            if place != axis:
                found = self.new.call(_aten.unsqueeze.default, found, place)
        return found

    def see(self, node: fx.Node) -> None:
        """Note whether a value holds fewer tokens now, and check that it differs in nothing else.

        Raises:
            RequirementError: it does, or it is the network's answer.
        """
        before = self.tokens.get(node) or self.of(node)
        own, its = (_tensors(v) for v in (self.now(node), self.was(node)))
        differ = [(tuple(a.shape), tuple(b.shape)) for a, b in zip(own, its, strict=True)]
        differ = [(now, was) for now, was in differ if now != was]
        if differ and node.op == "output":
            raise RequirementError(
                "The network answers with a value for each token.",
                "Leave its tokens as they are, or give a network with one answer for all of them.",
            )
        for now, was in differ:
            if before is None or len(now) != len(was) or not before.tell(now, was):
                raise RequirementError(
                    f"'{node.name}' lays tokens out in another form: with fewer of them {list(was)}"
                    f" becomes {list(now)}.",
                    LEAVE,
                )
        if differ and before is not None:
            self.tokens.setdefault(node, before)


def _tensors(value: object) -> list[torch.Tensor]:
    return [each for each in tree_flatten(value)[0] if isinstance(each, torch.Tensor)]

"""Which channels of a network's values are one and the same, across blocks.

A channel is made by a layer, and goes with others where values are added or multiplied: then all of
them can be given up together or not at all. Layers with weights are known; what any other operator
makes of a channel is asked of the operator itself (`whet.optimize.network.channels.probe`).

Torch-Pruning's graph, by which widths within blocks are found, takes a padding of channels for an
operator that leaves each in its place; then the channels of a padded shortcut (He et al. 2016,
option A) are taken for others, and what they are by number is needed here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_flatten

from whet.optimize.network.channels.probe import PADS, is_even, placed, source_of, told_nothing
from whet.optimize.network.fitting.products import FITTED
from whet.optimize.network.structure.modules import part_at

__all__ = ["FIXED", "Channels", "Shared", "layer_of", "shared_channels"]

FIXED = 0  # the number of channels that can't be given up


@dataclass(frozen=True)
class Channels:
    """The channels of a value or of a tensor.

    Attributes:
        axis: along which they lie.
        ids: a number for each; equal ones go together, in the whole network.
    """

    axis: int
    ids: torch.Tensor


@dataclass(frozen=True)
class Shared:
    """The channels of a network.

    Attributes:
        values: by the names of values.
        gives: made by layers with weights, by their paths.
        takes: taken by those that mix them, by their paths.
        along: that a norm or a depthwise convolution scales one by one, by its path.
        tensors: of the network's own that are added or multiplied, by their names.
    """

    values: Mapping[str, Channels]
    gives: Mapping[str, torch.Tensor]
    takes: Mapping[str, torch.Tensor]
    along: Mapping[str, torch.Tensor]
    tensors: Mapping[str, Channels]


def shared_channels(module: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> Shared:
    """Find them.

    Args:
        module: from `whet.optimize.network.layers.with_layers`, or what became of it.
        inputs: an example; two rows are enough.
    """
    return _Finding(module, inputs).found()


def layer_of(module: fx.GraphModule, target: str) -> tuple[str, nn.Module] | None:
    """The one layer that a module is, or holds (as a bridge does), with its path."""
    parts = module.get_submodule(target).named_modules(prefix=target)
    leaves = [(path, part) for path, part in parts if not any(part.children())]
    return leaves[0] if len(leaves) == 1 else None


class _Finding:
    """One run over a network, with its channels numbered on the way."""

    def __init__(self, module: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> None:
        self._module, self._same = module, [FIXED]
        self._run = fx.Interpreter(module, garbage_collect_values=False)
        nodes = module.graph.find_nodes(op="placeholder")
        given = module.graph.process_inputs(*inputs)
        self._run.env = dict(zip(nodes, given, strict=True))
        self._calls = Counter(n.target for n in module.graph.find_nodes(op="call_module"))
        self._values: dict[fx.Node, Channels] = {}
        self._gives: dict[str, torch.Tensor] = {}
        self._takes: dict[str, torch.Tensor] = {}
        self._along: dict[str, torch.Tensor] = {}
        self._tensors: dict[str, Channels] = {}

    def found(self) -> Shared:
        waiting = {node: len(node.users) for node in self._module.graph.nodes}
        with torch.no_grad():
            for node in self._module.graph.nodes:
                if node.op != "placeholder":
                    self._run.env[node] = self._run.run_node(node)
                    self._see(node)
                for before in node.all_input_nodes:
                    waiting[before] -= 1
                    if not waiting[before]:
                        del self._run.env[before]
        return Shared(
            {node.name: Channels(c.axis, self._told(c.ids)) for node, c in self._values.items()},
            {path: self._told(ids) for path, ids in self._gives.items()},
            {path: self._told(ids) for path, ids in self._takes.items()},
            {path: self._told(ids) for path, ids in self._along.items()},
            {name: Channels(c.axis, self._told(c.ids)) for name, c in self._tensors.items()},
        )

    def _see(self, node: fx.Node) -> None:
        """Number the channels of what a node has just made."""
        if node.op == "output":
            self._fix(*tree_flatten(node.args)[0])
        elif node.op == "call_module":
            self._layer(node)
        elif node.op == "call_function" and any(n in self._values for n in node.all_input_nodes):
            self._operator(node)

    def _layer(self, node: fx.Node) -> None:
        found = layer_of(self._module, str(node.target))
        value, answer = self._run.env[node.args[0]], self._run.env[node]
        taken, last = self._values.get(node.args[0]), answer.dim() - 1
        often = self._calls[node.target] > 1
        if found is None or (often and isinstance(found[1], FITTED | nn.Embedding)):
            self._fix(*node.all_input_nodes)
        elif isinstance(found[1], FITTED) and not getattr(found[1], "transposed", False):
            axis = last if isinstance(found[1], nn.Linear) else 1
            self._fitted(node, *found, taken, axis, value.shape[axis])
        elif isinstance(found[1], nn.Embedding):
            self._made(node, found[0], last, answer.shape[last])
        elif isinstance(found[1], nn.Identity):
            self._pass_on(node, taken)
        elif taken is not None and taken.axis == _normed(found[1], last):
            self._join(taken.ids, self._along.setdefault(found[0], taken.ids))
            self._pass_on(node, taken)
        else:
            self._fix(*node.all_input_nodes)

    def _fitted(
        self,
        node: fx.Node,
        path: str,
        layer: nn.Module,
        taken: Channels | None,
        axis: int,
        count: int,
    ) -> None:
        """A layer with weights: it mixes channels, scales them one by one, or takes groups of them."""
        groups = getattr(layer, "groups", 1)
        if taken is not None and groups > 1 and groups == count == len(layer.weight):
            self._along[path] = taken.ids
            self._pass_on(node, taken)
            return
        if taken is not None and taken.axis == axis and groups == 1:
            self._takes[path] = taken.ids
        else:
            self._fix(*node.all_input_nodes)
        self._made(node, path, axis, len(layer.weight))
        if groups > 1:
            self._fix(node)

    def _made(self, node: fx.Node, path: str, axis: int, count: int) -> None:
        self._gives[path] = self._fresh(count)
        self._values[node] = Channels(axis, self._gives[path])

    def _pass_on(self, node: fx.Node, taken: Channels | None) -> None:
        if taken is not None:
            self._values[node] = taken

    def _operator(self, node: fx.Node) -> None:
        """An operator over values with channels: its answer's are the ones that it is made from."""
        answer = self._run.env[node]
        own = [n for n in dict.fromkeys(node.all_input_nodes) if n in self._values]
        if not isinstance(answer, torch.Tensor):
            # Sizes are no channels; the parts of a split aren't followed.
            if not isinstance(answer, int | float | bool | torch.Size):
                self._fix(*own)
            return
        sources = {n: source_of(self._run, node, n, self._values[n].axis) for n in own}
        maybe = {n: placed(source) for n, source in sources.items() if source is not None}
        whence = {n: found for n, found in maybe.items() if found is not None}
        axes = {axis for axis, _ in whence.values()}
        whole = all(
            n in whence and is_even(whence[n][1], len(self._values[n].ids), node) for n in own
        )
        if len(axes) != 1 or not whole:
            if not told_nothing(sources):
                self._fix(*own)
            return
        (axis,) = axes
        ids = self._fresh(answer.shape[axis])
        lonely = torch.ones(len(ids), dtype=torch.bool)
        for n, (_, places) in whence.items():
            here = places >= 0
            lonely &= ~here
            self._join(ids[here], self._values[n].ids[places[here]])
        if lonely.any() and node.target not in PADS:
            self._join(ids[lonely], torch.zeros(int(lonely.sum()), dtype=torch.long))
        self._values[node] = Channels(axis, ids)
        self._beside(node, own, axis)

    def _beside(self, node: fx.Node, own: Sequence[fx.Node], axis: int) -> None:
        """What else the operator takes: the network's own tensors go along, others hold all fast."""
        channels, shape = self._values[node], self._run.env[node].shape
        for other in dict.fromkeys(node.all_input_nodes):
            value = self._run.env[other]
            if other in own or not isinstance(value, torch.Tensor):
                continue
            at = axis - len(shape) + value.dim()
            if at < 0 or value.shape[at] != shape[axis] or shape[axis] == 1:
                continue
            source = source_of(self._run, node, other, at) if value.is_floating_point() else None
            plain = source is not None and placed(source) is not None
            held = other.op == "get_attr" and len(other.users) == 1
            if (
                plain
                and held
                and isinstance(part_at(self._module, str(other.target)), torch.Tensor)
            ):
                self._tensors[str(other.target)] = Channels(at, channels.ids)
            else:
                self._fix(node)

    def _fresh(self, count: int) -> torch.Tensor:
        start = len(self._same)
        self._same += range(start, start + count)
        return torch.arange(start, start + count)

    def _fix(self, *nodes: object) -> None:
        for node in nodes:
            if isinstance(node, fx.Node) and node in self._values:
                ids = self._values[node].ids
                self._join(ids, torch.zeros(len(ids), dtype=torch.long))

    def _join(self, some: torch.Tensor, others: torch.Tensor) -> None:
        for one, other in zip(some.tolist(), others.tolist(), strict=True):
            a, b = sorted((self._root(one), self._root(other)))
            self._same[b] = a

    def _root(self, number: int) -> int:
        while self._same[number] != number:
            self._same[number] = self._same[self._same[number]]
            number = self._same[number]
        return number

    def _told(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.tensor([self._root(i) for i in ids.tolist()], dtype=torch.long)


def _normed(layer: nn.Module, last: int) -> int | None:
    """The axis along which a layer scales channels one by one; ``None`` where it does otherwise.

    A layer norm takes all of them into account, but needs none: it is followed as if it scaled
    them, and what takes its answer is fitted to fewer.
    """
    if isinstance(layer, _BatchNorm):
        return 1
    return last if isinstance(layer, nn.LayerNorm) and len(layer.normalized_shape) == 1 else None

"""A block left out: what it did is done, as well as it can be, by one linear layer or by nothing.

With few samples, leaving out whole blocks costs less quality for the milliseconds that it saves
than making all of them narrower, if what follows is given about what it is used to (Practise; Wang
and Wu 2023). A linear layer in the gap sees to that: a 1x1 convolution, or a linear layer over the
last axis. It begins with what comes in; a repair fits it in closed form to what the block of the
original gives (`whet.optimize.network.repair`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import nn

from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.network.structure.blocks import Block, Shape, extracted, replaced
from whet.optimize.network.structure.modules import free_name
from whet.optimize.network.structure.net import Net

__all__ = ["DropBlocks", "Gap", "bridged"]

_CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}


@final
@dataclass(frozen=True)
class DropBlocks(Pass[Net, Net]):
    """Leave blocks out.

    Attributes:
        blocks: names of them.
        bridge: put a linear layer in each gap, which a repair can fit; else nothing, where what
            comes in has the shape of what goes out.

    Raises:
        OptionError: no block is named.
    """

    name: ClassVar[str] = "drop"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    blocks: tuple[str, ...]
    bridge: bool = True

    def __post_init__(self) -> None:
        if not self.blocks:
            raise OptionError("No block is named.", "Name the blocks to leave out.")

    def requires(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # shapes say it
        model.need_own_layers()
        for name in self.blocks:
            _gap(model, model.block(name), bridge=self.bridge)

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:  # noqa: ARG002  # nothing is fitted yet
        for name in self.blocks:
            model = bridged(model, model.block(name), bridge=self.bridge)
        return PassResult(model, True)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # the graph says it
        nodes = {node.name: node for node in model.module.graph.nodes}
        for name in self.blocks:
            node = nodes.get(model.block(name).span.exit)
            if node is None or node.op != "call_module":
                raise PostconditionError(f"'{name}' is still there.", "Report this.")


def bridged(net: Net, block: Block, *, bridge: bool = True) -> Net:
    """The network with one linear layer, or nothing, in the place of a block.

    The layer begins with what comes in, as far as there are channels for it.

    Args:
        net: it stays as it is.
        block: of it.
        bridge: whether there is a layer.

    Raises:
        RequirementError: no single layer makes such an answer of what the block takes; without
            one, it takes another shape than it gives.
    """
    names = {name for module in (net.module, net.original) for name, _ in module.named_modules()}
    name = free_name(f"bridge_{block.name.replace('.', '_')}", names)
    gap = Gap(_gap(net, block, bridge=bridge))
    kept, left = dict(net.kept), net.stream.get(block.span.exit)
    if bridge and left is not None:
        kept[f"{name}.layer"] = left.channels
    return replace(net, module=replaced(net.module, block, gap, name=name), kept=kept)


def _gap(net: Net, block: Block, *, bridge: bool) -> nn.Module:
    takes = None if block.takes is None else _left(net, block.span.entry, block.takes)
    gives = _left(net, block.span.exit, block.gives)
    if bridge:
        return _bridge(extracted(net.original, block), block.name, takes, gives)
    if takes is None or takes != gives:
        raise RequirementError(
            f"'{block.name}' takes {_said(takes)} and gives {_said(gives)}.",
            "Put a layer in its place (bridge).",
        )
    return nn.Identity()


def _left(net: Net, name: str | None, shape: Shape) -> Shape:
    """The shape of a value with the channels that it still has."""
    kept = net.stream.get(name or "")
    if kept is None:
        return shape
    return (*shape[: kept.axis], len(kept.channels), *shape[kept.axis + 1 :])


# torch is not typed for our checker (see pyproject), so its base class is "Any" to it.
class Gap(nn.Module):  # type: ignore[misc]
    """In the place of a block: one layer over its entry; what it takes aside isn't used.

    Args:
        layer: takes the entry.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, entry: torch.Tensor, *_: object) -> torch.Tensor:
        answer: torch.Tensor = self.layer(entry)
        return answer


def _bridge(own: nn.Module, name: str, takes: Shape | None, gives: Shape) -> nn.Module:
    """The layer that begins with what comes in, as far as there are channels for it."""
    convolves = any(isinstance(m, tuple(_CONVOLUTIONS.values())) for m in own.modules())
    layer: nn.Module | None = None
    if takes is not None and len(takes) == len(gives):
        strided = convolves and len(takes) in _CONVOLUTIONS
        layer = _strided(takes, gives) if strided else _over_the_last(takes, gives)
    if layer is None:
        raise RequirementError(
            f"No single layer makes {_said(gives)} of {_said(takes)}, as '{name}' does.",
            "Leave the block as it is.",
        )
    with torch.no_grad():
        layer.bias.zero_()
        begin = nn.init.eye_ if isinstance(layer, nn.Linear) else nn.init.dirac_
        begin(layer.weight)
    return layer.eval()


def _over_the_last(takes: Shape, gives: Shape) -> nn.Module | None:
    """A linear layer over the last axis, where all others stay."""
    inside, out = takes[-1], gives[-1]
    if takes[:-1] != gives[:-1] or not isinstance(inside, int) or not isinstance(out, int):
        return None
    return nn.Linear(inside, out)


def _strided(takes: Shape, gives: Shape) -> nn.Module | None:
    """A 1x1 convolution whose steps make one map of the other."""
    steps = []
    for before, after in zip(takes[2:], gives[2:], strict=True):
        if before == after:
            steps.append(1)
        elif isinstance(before, int) and isinstance(after, int) and 0 < after < before:
            steps.append(-(-before // after))
            if (before - 1) // steps[-1] + 1 != after:
                return None
        else:
            return None
    if not isinstance(takes[1], int) or not isinstance(gives[1], int):
        return None
    kind = _CONVOLUTIONS[len(takes)]
    return kind(takes[1], gives[1], 1, tuple(steps))


def _said(shape: Shape | None) -> str:
    return "the network's inputs" if shape is None else f"[{', '.join(map(str, shape))}]"

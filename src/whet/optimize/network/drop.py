"""A block left out: what it did is done, as well as it can be, by one linear layer or by nothing.

With few samples, leaving out whole blocks costs less quality for the milliseconds that it saves
than making all of them narrower, if what follows is given about what it is used to (Practise; Wang
and Wu 2023). A linear layer in the gap sees to that: a 1x1 convolution, or a linear layer over the
last axis. It begins with what comes in and is fitted in closed form to what the block of the
original gives (`whet.optimize.network.refit`).
"""

from __future__ import annotations

import torch
from torch import fx, nn

from whet.errors import RequirementError
from whet.optimize.network.blocks import Block, Shape, extracted, replaced
from whet.optimize.network.modules import free_name
from whet.optimize.network.refit import Batches, Fit, refitted

__all__ = ["bridged", "skipped"]

_CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}


def skipped(module: fx.GraphModule, block: Block) -> fx.GraphModule:
    """The network without a block: what comes in goes out.

    Raises:
        RequirementError: the block's answer has another shape than what it takes.
    """
    if block.takes is None or block.takes != block.gives:
        raise RequirementError(
            f"'{block.name}' takes {_said(block.takes)} and gives {_said(block.gives)}.",
            "Put a layer in its place (bridged).",
        )
    return replaced(module, block, _Gap(nn.Identity()))


def bridged(
    module: fx.GraphModule, block: Block, original: fx.GraphModule, its: Block, batches: Batches
) -> tuple[fx.GraphModule, Fit]:
    """The network with one linear layer in the place of a block.

    Args:
        module: the network, which stays as it is.
        block: of it.
        original: whose block the layer is fitted to.
        its: that block.
        batches: inputs of both networks, as often as they are asked for.

    Raises:
        RequirementError: no single layer makes such an answer of what the block takes.
    """
    taken = {n for net in (module, original) for n, _ in net.named_modules()}
    name = free_name("bridge", taken)
    gap = _Gap(_bridge(extracted(module, block), block))
    whole = replaced(original, its, extracted(original, its), name=name)
    found, (fit,) = refitted(
        replaced(module, block, gap, name=name),
        whole,
        batches,
        [[f"{name}.layer"]],
        wanted={f"{name}.layer": name},
    )
    return found, fit


# torch is not typed for our checker (see pyproject), so its base class is "Any" to it.
class _Gap(nn.Module):  # type: ignore[misc]
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


def _bridge(own: nn.Module, block: Block) -> nn.Module:
    """The layer that begins with what comes in, as far as there are channels for it."""
    takes, gives = block.takes, block.gives
    convolves = any(isinstance(m, tuple(_CONVOLUTIONS.values())) for m in own.modules())
    layer: nn.Module | None = None
    if takes is not None and len(takes) == len(gives):
        strided = convolves and len(takes) in _CONVOLUTIONS
        layer = _strided(takes, gives) if strided else _over_the_last(takes, gives)
    if layer is None:
        raise RequirementError(
            f"No single layer makes {_said(gives)} of {_said(takes)}, as '{block.name}' does.",
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

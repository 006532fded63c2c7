"""Channels, heads and feed-forward widths made fewer within blocks, and physically removed.

Which go is told by what the layers that take them could still give without them, each after a fit
anew (`whet.optimize.network.importance`); so unlabelled samples are enough. What is left isn't
fitted here: that is `whet.optimize.network.repair`'s part, which may come after other changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import numpy as np
import torch
from torch import fx

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.network.blocks import Block, extracted
from whet.optimize.network.importance import Taker, removal_order
from whet.optimize.network.modules import copied
from whet.optimize.network.net import Net, batches_of
from whet.optimize.network.products import Sums
from whet.optimize.network.walk import Walk
from whet.optimize.network.widths import Width, dependencies, group_of, widths_of

__all__ = ["Narrow", "Orders", "narrowed", "orders_of", "widths_in"]

_ROWS, _BATCH = 256, 16
_EXAMPLE_ROWS = 2

Orders = Mapping[str, torch.Tensor]
"""Units of each width, the least needed first, by the width's name."""


@final
@dataclass(frozen=True)
class Narrow(Pass[Net, Net]):
    """Make widths of blocks narrower.

    Attributes:
        share: of all units that go, of every width alike.
        units: that stay, by the name of a width; takes the place of ``share``.

    Raises:
        OptionError: a share that leaves nothing, or neither option.
    """

    name: ClassVar[str] = "narrow"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    share: float = 0.0
    units: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1 or bool(self.units) == bool(self.share):
            raise OptionError(
                f"A share of {self.share:g} beside {len(self.units)} widths narrows nothing.",
                "Give either a share between 0 and 1, or what is to stay of some widths.",
            )

    def requires(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # layers say it
        model.need_own_layers()
        unknown = sorted(set(self.units) - {w.name for w in widths_in(model)})
        if unknown:
            raise RequirementError(
                f"There is no width {', '.join(unknown)}.",
                f"The widths are {', '.join(w.name for w in widths_in(model)) or 'none'}.",
            )

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        widths = widths_in(model)
        stay = self.units or {w.name: max(1, round(w.units * (1 - self.share))) for w in widths}
        fewer = {w: stay[w.name] for w in widths if stay.get(w.name, w.units) < w.units}
        if not fewer:
            reason = "No width lies within a block" if not widths else "All widths stay as they are"
            return PassResult(model, False, (Note(self.name, f"{reason}, so nothing is removed."),))
        return PassResult(narrowed(model, fewer, orders_of(model, widths, ctx)), True)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # layers say it
        for name, channels in model.kept.items():
            have = len(model.module.get_submodule(name).weight)
            if have != len(channels):
                raise PostconditionError(
                    f"'{name}' has {have} channels, not {len(channels)}.",
                    "Report this with the network.",
                )


def widths_in(net: Net) -> tuple[Width, ...]:
    """The widths of a network's blocks, as it was."""
    graph = dependencies(net.original, _example(net))
    return widths_of(net.original, net.cut.blocks, graph)


def orders_of(net: Net, widths: Sequence[Width], ctx: Context) -> Orders:
    """For each width its units, the least needed first.

    They are the same for all that becomes of a network, and take minutes for a large one; so where
    the context has a shelf they are kept there.

    Args:
        net: whose original is asked.
        widths: all of it.
        ctx: with samples.

    Raises:
        RequirementError: there are no samples.
    """
    file = None if ctx.shelf is None else ctx.shelf / "orders.npz"
    if file is not None and file.exists():
        with np.load(file) as kept:
            return {name: torch.from_numpy(kept[name]) for name in kept.files}
    walk = Walk(net.original, batches_of(ctx, net.signature, size=_BATCH, most=_ROWS))
    found: dict[str, torch.Tensor] = {}
    for block in net.cut.blocks:
        own = [w for w in widths if w.block == block.name]
        if own:
            found |= _orders(net.original, block, own, walk, ctx.seed)
    if file is not None:
        part = file.with_suffix(".part.npz")  # renamed, so that it is whole or not there
        np.savez(part, allow_pickle=False, **{name: order.numpy() for name, order in found.items()})
        part.replace(file)
    return found


def _orders(
    module: fx.GraphModule, block: Block, widths: list[Width], walk: Walk, seed: int
) -> dict[str, torch.Tensor]:
    """Orders within one block; the walk goes on to what the block takes."""
    part = extracted(module, block)
    sums = {
        taken.layer: Sums(part.get_submodule(taken.layer), seed)
        for width in widths
        for taken in width.taken_by
    }
    inputs = walk.together(block.inputs)
    hooks = [
        part.get_submodule(name).register_forward_hook(_seeing(each)) for name, each in sums.items()
    ]
    with torch.no_grad():
        for each in inputs:
            part(*each)
    for hook in hooks:
        hook.remove()
    return {
        w.name: removal_order([_taker(sums[t.layer], t.channels) for t in w.taken_by])
        for w in widths
    }


def _seeing(sums: Sums) -> object:
    return lambda _, inputs, answer: sums.see(inputs[0], answer)


def _taker(sums: Sums, channels: tuple[tuple[int, ...], ...]) -> Taker:
    """A layer as the order needs it; its bias is no channel and always stays."""
    layer = sums.layer
    wide = layer.weight[0].numel()
    kernel = wide // layer.weight.shape[1]
    places = torch.tensor(channels)[..., None] * kernel + torch.arange(kernel)
    products, weights = sums.whole().inputs[0], sums.weights()[0]
    return Taker(products[:wide, :wide], weights[:wide], places.flatten(1))


def narrowed(net: Net, stay: Mapping[Width, int], orders: Orders) -> Net:
    """The network with fewer units in some of its widths.

    Args:
        net: it stays as it is.
        stay: how many units stay, by width.
        orders: of the units, see `orders_of`.
    """
    module, kept = copied(net.module), dict(net.kept)
    graph = dependencies(module, _example(net))
    names = {layer: name for name, layer in module.named_modules()}
    for width, units in stay.items():
        gone = sorted(orders[width.name][: width.units - units].tolist())
        channels = [u * width.unit + place for u in gone for place in range(width.unit)]
        group = group_of(graph, module.get_submodule(width.name), channels)
        for item in group:
            name = names.get(item.dep.target.module)
            if name in width.made_by:
                left = torch.ones(len(module.get_submodule(name).weight), dtype=torch.bool)
                left[item.idxs] = False
                kept[name] = left.nonzero().flatten()
        group.prune()
    module.zero_grad(set_to_none=True)  # it was traced by gradients
    return replace(net, module=module.eval(), kept=kept)


def _example(net: Net) -> tuple[torch.Tensor, ...]:
    """Rows that the network can be traced with."""
    found = []
    for node in net.original.graph.find_nodes(op="placeholder"):
        value = node.meta["val"]
        found.append(torch.ones([_size(d) for d in value.shape], dtype=value.dtype))
    return tuple(found)


def _size(dim: int | torch.SymInt) -> int:
    """A size as it was when the network was traced; a free one of 1 would be a special case."""
    return dim if isinstance(dim, int) else max(_EXAMPLE_ROWS, int(dim.node.hint or 0))

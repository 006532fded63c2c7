"""Channels, heads and feed-forward widths made fewer within blocks, and physically removed.

Which go is told by what the layers that take them could still give without them, each after a fit
anew (`whet.optimize.network.channels.importance`); so unlabelled samples are enough. What is left isn't
fitted here: that is `whet.optimize.network.repair`'s part, which may come after other changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import torch
from torch import fx

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, RequirementError
from whet.optimize.network.channels.importance import Taker, removal_order
from whet.optimize.network.channels.widths import Width, dependencies, group_of, widths_of
from whet.optimize.network.fitting.products import Sums
from whet.optimize.network.structure.blocks import Block, extracted
from whet.optimize.network.structure.modules import copied, part_at
from whet.optimize.network.structure.net import Net, batches_of, check_kept, example_of
from whet.optimize.network.structure.shelf import kept_on
from whet.optimize.network.structure.walk import Walk

__all__ = ["Narrow", "Orders", "narrowed", "orders_of", "taker_of", "widths_in"]

_ROWS, _BATCH = 256, 16

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
        widths = {width.name: width for width in widths_in(model)}
        unknown = sorted(set(self.units) - set(widths))
        if unknown:
            raise RequirementError(
                f"There is no width {', '.join(unknown)}.",
                f"The widths are {', '.join(widths) or 'none'}.",
            )
        for name in self.units:
            if reason := _fixed(model, widths[name]):
                raise RequirementError(f"'{name}': {reason}", "Narrow it first.")

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        widths = widths_in(model)
        stay = self.units or {w.name: max(1, round(w.units * (1 - self.share))) for w in widths}
        fixed = {w.name: reason for w in widths if (reason := _fixed(model, w))}
        notes = tuple(Note(name, reason) for name, reason in fixed.items())
        able = [w for w in widths if w.name not in fixed]
        fewer = {w: stay[w.name] for w in able if stay.get(w.name, w.units) < w.units}
        if not fewer:
            reason = "No width lies within a block" if not widths else "All widths stay as they are"
            notes += (Note(self.name, f"{reason}, so nothing is removed."),)
            return PassResult(model, False, notes)
        return PassResult(narrowed(model, fewer, orders_of(model, widths, ctx)), True, notes)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # layers say it
        check_kept(model)


def widths_in(net: Net) -> tuple[Width, ...]:
    """The widths of a network's blocks, as it was."""
    graph = dependencies(net.original, example_of(net))
    return widths_of(net.original, net.cut.blocks, graph)


def _fixed(net: Net, width: Width) -> str | None:
    """Why a width can't be narrowed any more; ``None`` where it can."""
    takers = {taken.layer for taken in width.taken_by}
    if sparse := sorted(takers & net.sparse.keys()):
        return f"It stays as it is: '{sparse[0]}' is sparse."
    for first, second in net.pairs.items():
        layer = part_at(net.module, first)
        if second in takers and getattr(layer, "groups", 1) not in (1, len(layer.weight)):  # type: ignore[attr-defined]
            return f"It stays as it is: '{first}' has several kernels for each of its channels."
    return None


def orders_of(net: Net, widths: Sequence[Width], ctx: Context) -> Orders:
    """For each width its units, the least needed first.

    They are the same for all that becomes of a network, and take minutes for a large one; so where
    the context has a shelf they are kept there.

    Args:
        net: whose teacher is asked.
        widths: all of it.
        ctx: with samples.

    Raises:
        RequirementError: there are no samples.
    """

    def find() -> dict[str, torch.Tensor]:
        walk = Walk(net.teacher, batches_of(ctx, net.signature, size=_BATCH, most=_ROWS))
        found: dict[str, torch.Tensor] = {}
        for block in net.cut.blocks:
            own = [w for w in widths if w.block == block.name]
            if own:
                found |= _orders(net.teacher, block, own, walk, ctx.seed)
        return found

    return kept_on(ctx.shelf, "orders", find)


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
        w.name: removal_order([taker_of(sums[t.layer], t.channels) for t in w.taken_by])
        for w in widths
    }


def _seeing(sums: Sums) -> object:
    return lambda _, inputs, answer: sums.see(inputs[0], answer)


def taker_of(sums: Sums, channels: tuple[tuple[int, ...], ...]) -> Taker:
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
    graph = dependencies(module, example_of(net))
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

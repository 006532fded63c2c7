"""The forms that a block of a network may take, besides the one that it has.

Narrower, low-rank and separable forms are made for all blocks at once, one network for each share
or multiplier, and a block is taken out of it; a bridge is put in the place of one block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from whet.core.context import Context
from whet.core.recipe import Step
from whet.errors import RequirementError
from whet.optimize.network.channels.widths import Width, in_tiles
from whet.optimize.network.drop import bridged
from whet.optimize.network.factor import factored, layers_in, spreads_of
from whet.optimize.network.fitting.low_rank import rank_for
from whet.optimize.network.menus.menu import MenuPlan
from whet.optimize.network.narrow import narrowed, orders_of, widths_in
from whet.optimize.network.separate import convolutions_in, separable_pairs, separate
from whet.optimize.network.structure.blocks import Block
from whet.optimize.network.structure.net import Net

__all__ = ["Forms"]

Form = tuple[tuple[Step, ...], Net]
"""Passes over one block, and a network in which that was done to it, and maybe to others."""


class Forms:
    """What blocks may become.

    Args:
        net: to which nothing was done yet.
        plan: what to try.
        ctx: with samples.
    """

    def __init__(self, net: Net, plan: MenuPlan, ctx: Context) -> None:
        self._net = net
        self._all = [
            *_narrow(net, plan, ctx),
            *_low_rank(net, plan, ctx),
            *_separable(net, plan, ctx),
        ]

    def of(self, block: Block) -> Iterator[Form]:
        """The forms of one block, none twice; layers that nothing was done to are the original's."""
        seen: list[Step] = []
        for step, net, lies_in in self._all:
            (option, parts), *_ = step.options.items()
            own = {name: some for name, some in parts.items() if lies_in.get(name) == block.name}
            mine = Step(step.name, {option: own})
            if own and mine not in seen:
                seen.append(mine)
                yield (mine,), net
        try:
            yield (Step("drop", {"blocks": [block.name]}),), bridged(self._net, block)
        except RequirementError:
            return


_Everywhere = tuple[Step, Net, dict[str, str]]
"""A pass over the whole network, what comes of it, and the block that each named part lies in."""


def _narrow(net: Net, plan: MenuPlan, ctx: Context) -> Iterator[_Everywhere]:
    widths = widths_in(net)
    orders = orders_of(net, widths, ctx) if widths else {}
    lies_in = {width.name: width.block for width in widths}
    for share in plan.stay:
        stay = _stay(widths, share, plan.tile)
        if stay:
            step = Step("narrow", {"units": {width.name: units for width, units in stay.items()}})
            yield step, narrowed(net, stay, orders), lies_in


def _stay(widths: Sequence[Width], share: float, tile: int) -> dict[Width, int]:
    """Units that stay of each width that can be made narrower by whole tiles."""
    found = {}
    for width in widths:
        units = in_tiles(width.units, share, tile if width.unit == 1 else 1)
        if units < width.units:
            found[width] = units
    return found


def _low_rank(net: Net, plan: MenuPlan, ctx: Context) -> Iterator[_Everywhere]:
    most, _ = layers_in(net)
    spreads = spreads_of(net, most, ctx) if most and plan.low_rank else {}
    lies_in = _blocks_of(net, most)
    for share in plan.low_rank:
        wanted = {n: rank_for(net.module.get_submodule(n), share, plan.tile) for n in most}
        ranks = {name: rank for name, rank in wanted.items() if rank <= most[name]}
        if ranks:
            yield Step("factor", {"ranks": ranks}), factored(net, ranks, spreads), lies_in


def _separable(net: Net, plan: MenuPlan, ctx: Context) -> Iterator[_Everywhere]:
    most, _ = convolutions_in(net)
    wanted = {n: [m for m in plan.separable if m <= highest] for n, highest in most.items()}
    made = separable_pairs(net, wanted, ctx) if any(wanted.values()) else {}
    lies_in = _blocks_of(net, most)
    for multiplier in plan.separable:
        layers = {name: multiplier for name in most if multiplier in wanted[name]}
        if layers:
            yield Step("separate", {"layers": layers}), separate(net, layers, made), lies_in


def _blocks_of(net: Net, layers: Iterable[str]) -> dict[str, str]:
    """The block that each layer lies in."""
    nodes = {str(n.target): n.name for n in net.original.graph.find_nodes(op="call_module")}
    return {
        name: block.name
        for name in layers
        for block in net.cut.blocks
        if nodes[name] in block.span.members
    }

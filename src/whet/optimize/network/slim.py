"""The stream between blocks made narrower: channels that go through many blocks, or from one to the next.

What flows between blocks (the residual stream of a stage, a transformer's hidden size) is as wide
in all of them, so its channels are given up in all of them at once. That saves what narrowing
within blocks leaves: the traffic of the values that blocks hand on. Which go is told as within
blocks (`whet.optimize.network.channels.importance`), by all layers of all blocks that take them.

Which values a channel lies in is no matter of layers alone: of a stage that pads the channels of
the one before, some are that one's and some its own. Channels that the same layers make and take
are one width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

import torch
from torch import fx
from torch.utils._pytree import tree_flatten

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, RequirementError
from whet.optimize.network.channels.groups import FIXED, Shared, shared_channels
from whet.optimize.network.channels.importance import Taker, removal_order
from whet.optimize.network.channels.thin import staying, thin
from whet.optimize.network.channels.widths import Taken
from whet.optimize.network.fitting.products import FITTED, Sums
from whet.optimize.network.narrow import Orders, taker_of
from whet.optimize.network.structure.modules import copied, free_name
from whet.optimize.network.structure.net import (
    Kept,
    Net,
    batches_of,
    check_kept,
    example_of,
    samples_of,
)
from whet.optimize.network.structure.shelf import kept_on
from whet.optimize.network.structure.walk import Walk

__all__ = ["Slim", "StreamWidth", "slimmed", "stream_orders", "stream_widths"]

_ROWS, _BATCH = 256, 16


@dataclass(frozen=True)
class StreamWidth:
    """Channels that cross blocks and can be given up.

    Attributes:
        name: of the layer that makes them; of several, the first.
        made_by: layers that make them, with the places of each unit among what they give.
        taken_by: those that take them.
    """

    name: str
    made_by: tuple[Taken, ...]
    taken_by: tuple[Taken, ...]

    @property
    def units(self) -> int:
        """How many there are."""
        return len(self.made_by[0].channels)


@final
@dataclass(frozen=True)
class Slim(Pass[Net, Net]):
    """Make the stream between blocks narrower.

    Attributes:
        share: of all channels that go, of every width alike.
        channels: that stay, by the name of a width; takes the place of ``share``.

    Raises:
        OptionError: a share that leaves nothing, a width without channels, or neither option.
    """

    name: ClassVar[str] = "slim"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    share: float = 0.0
    channels: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        none = min(self.channels.values(), default=1) < 1
        if not 0 <= self.share < 1 or bool(self.channels) == bool(self.share) or none:
            raise OptionError(
                f"A share of {self.share:g} beside {len(self.channels)} widths makes nothing slimmer.",
                "Give either a share between 0 and 1, or what is to stay of some widths, 1 or more.",
            )

    def requires(self, model: Net, ctx: Context) -> None:
        """That the widths are known is looked at by `apply`, as finding them takes seconds."""
        model.need_own_layers()
        samples_of(ctx)

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        shared = shared_channels(model.teacher, example_of(model))
        widths = stream_widths(model, shared)
        known = {width.name: width for width in widths}
        unknown = sorted(set(self.channels) - set(known))
        if unknown:
            raise RequirementError(
                f"There is no width {', '.join(unknown)} of the stream.",
                f"The widths are {', '.join(known) or 'none'}.",
            )
        stay = self.channels or {w.name: max(1, round(w.units * (1 - self.share))) for w in widths}
        fewer = {known[name]: units for name, units in stay.items() if units < known[name].units}
        if not fewer:
            reason = "No channel crosses blocks" if not widths else "All widths stay as they are"
            return PassResult(model, False, (Note(self.name, f"{reason}, so nothing is removed."),))
        own = shared if model.module is model.teacher else None
        return PassResult(slimmed(model, fewer, stream_orders(model, widths, ctx), own), True)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # layers say it
        check_kept(model)


def stream_widths(net: Net, shared: Shared) -> tuple[StreamWidth, ...]:
    """The widths of what flows between blocks of a network, as it came.

    Args:
        net: of which its teacher is asked.
        shared: the channels of that.
    """
    made, taken = _places(shared.gives), _places(shared.takes)
    crossing = {
        number
        for block in net.cut.blocks
        if block.span.exit in shared.values
        for number in shared.values[block.span.exit].ids.tolist()
    } - {FIXED}
    alike: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for number in sorted(crossing):
        if number in made and number in taken:
            key = tuple(
                (layer, len(places))
                for side in (made, taken)
                for layer, places in side[number].items()
            )
            alike.setdefault(key, []).append(number)
    found: list[StreamWidth] = []
    for numbers in alike.values():
        sides = [
            tuple(
                Taken(layer, tuple(tuple(side[number][layer]) for number in numbers))
                for layer in side[numbers[0]]
            )
            for side in (made, taken)
        ]
        if len(numbers) > 1:
            name = free_name(sides[0][0].layer, {width.name for width in found})
            found.append(StreamWidth(name, *sides))
    return tuple(found)


def _places(layers: Mapping[str, torch.Tensor]) -> dict[int, dict[str, list[int]]]:
    """Of each channel its places in each layer."""
    found: dict[int, dict[str, list[int]]] = {}
    for layer, ids in layers.items():
        for place, number in enumerate(ids.tolist()):
            found.setdefault(number, {}).setdefault(layer, []).append(place)
    return found


def stream_orders(net: Net, widths: Sequence[StreamWidth], ctx: Context) -> Orders:
    """For each width its channels, the least needed first; kept on the context's shelf, if any.

    Args:
        net: whose teacher is asked.
        widths: all of it.
        ctx: with samples.

    Raises:
        RequirementError: there are no samples.
    """

    def find() -> dict[str, torch.Tensor]:
        takers = _takers(net, widths, ctx)
        return {
            width.name: removal_order([takers[width.name, t.layer] for t in width.taken_by])
            for width in widths
        }

    return kept_on(ctx.shelf, "stream-orders", find)


def _takers(net: Net, widths: Sequence[StreamWidth], ctx: Context) -> dict[tuple[str, str], Taker]:
    """Layers as an order needs them, by the names of the width and the layer."""
    walk = Walk(net.teacher, batches_of(ctx, net.signature, size=_BATCH, most=_ROWS))
    found: dict[tuple[str, str], Taker] = {}
    for node in net.teacher.graph.find_nodes(op="call_module"):
        own = [(w.name, t) for w in widths for t in w.taken_by if t.layer == node.target]
        if own:
            sums = Sums(net.teacher.get_submodule(node.target), ctx.seed)
            inputs = walk.at(node.args[0].name)
            for value, answer in zip(inputs, walk.at(node.name), strict=True):
                sums.see(value, answer)
            found |= {(name, t.layer): taker_of(sums, t.channels) for name, t in own}
    return found


def slimmed(
    net: Net, stay: Mapping[StreamWidth, int], orders: Orders, shared: Shared | None = None
) -> Net:
    """The network with fewer channels in some widths of its stream.

    Args:
        net: it stays as it is.
        stay: how many channels stay, by width.
        orders: of the channels, see `stream_orders`.
        shared: the channels of the network as it is by now, where they are known.

    Raises:
        RequirementError: something that was done before holds the channels fast, or their number
            is written into the network.
    """
    shared = shared or shared_channels(net.module, example_of(net))
    gone = {
        number
        for width, units in stay.items()
        for number in _numbers(net, shared, width, orders[width.name][: width.units - units])
    }
    if FIXED in gone:
        raise RequirementError(
            "Channels of the stream are held fast by what was done before.",
            "Put 'slim' first of all that changes the network.",
        )
    module = copied(net.module)
    thin(module, shared, gone)
    _check(net, module)
    kept, stream = dict(net.kept), dict(net.stream)
    for layer, ids in {**shared.gives, **shared.along}.items():
        stays = staying(ids, gone)
        if len(stays) < len(ids) and _counted(net, layer):
            kept[layer] = kept.get(layer, torch.arange(len(ids)))[stays]
    for name in dict.fromkeys(n for b in net.cut.blocks for n in (b.span.entry, b.span.exit)):
        channels = shared.values.get(name or "")
        if name is not None and channels is not None:
            stays = staying(channels.ids, gone)
            if len(stays) < len(channels.ids):
                before = net.stream.get(name)
                all_ = before.channels if before else torch.arange(len(channels.ids))
                stream[name] = Kept(channels.axis, all_[stays])
    return replace(net, module=module, kept=kept, stream=stream)


def _counted(net: Net, path: str) -> bool:
    """Whether a layer is one whose channels are counted: a norm follows the layer before it."""
    return isinstance(net.module.get_submodule(path), FITTED)


def _numbers(net: Net, shared: Shared, width: StreamWidth, units: torch.Tensor) -> frozenset[int]:
    """Numbers of units in the network as it is by now; those that went before have none."""
    for made in width.made_by:
        if made.layer in shared.gives:
            places = {place for unit in units.tolist() for place in made.channels[unit]}
            ids = shared.gives[made.layer].tolist()
            kept = net.kept.get(made.layer, torch.arange(len(ids))).tolist()
            return frozenset(i for i, was in zip(ids, kept, strict=True) if was in places)
    return frozenset()


def _check(net: Net, module: fx.GraphModule) -> None:
    """Run an example, as a number of channels may be written where it isn't looked for."""
    example = example_of(net)
    try:
        with torch.no_grad():
            shapes = [
                [t.shape for t in tree_flatten(each(*example))[0] if isinstance(t, torch.Tensor)]
                for each in (net.module, module)
            ]
    except (RuntimeError, ValueError, IndexError) as error:
        raise RequirementError(
            f"The network doesn't run with a slimmer stream: {str(error).splitlines()[0]}",
            "Leave its stream as wide as it is.",
        ) from error
    if shapes[0] != shapes[1]:
        raise RequirementError(
            "What the network answers would have other sizes.", "Leave its stream as wide as it is."
        )

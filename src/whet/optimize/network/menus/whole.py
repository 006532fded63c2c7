"""What a network as a whole may become: a slimmer stream, smaller pictures, fewer tokens; and the damage.

They change every block, so they are on no block's menu. Each is made once, repaired where values
between blocks are still those of the original, and judged by what the original answers; with each
comes the whole network as a graph, so that a runtime can say what it takes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import run
from whet.core.recipe import Step
from whet.errors import RequirementError, SamplesError
from whet.optimize.network.channels.groups import shared_channels
from whet.optimize.network.channels.widths import in_tiles
from whet.optimize.network.menus.alone import graph_alone
from whet.optimize.network.menus.damage import damage
from whet.optimize.network.menus.menu import ROWS, Whole, WholePlan, Wholes
from whet.optimize.network.merge_tokens import with_merged_tokens
from whet.optimize.network.repair import repaired
from whet.optimize.network.resize import Resize, picture_in
from whet.optimize.network.slim import StreamWidth, slimmed, stream_orders, stream_widths
from whet.optimize.network.structure.net import Net, batches_of, example_of, judging_apart
from whet.optimize.network.structure.walk import Walk
from whet.optimize.network.tokens.attention import attentions_in

__all__ = ["wholes_of"]

_BATCH = 16

_Form = tuple[Step, float, Net]
"""The pass, the least share of a width of the stream that stays, and what comes of it."""


def wholes_of(net: Net, ctx: Context, plan: WholePlan, seconds: float) -> Wholes:
    """Make them, the likeliest first, as many as there is time for.

    Args:
        net: to which nothing was done yet.
        ctx: with samples; graphs are written below its ``workdir``.
        plan: what to try.
        seconds: after which no further one is begun, as far as the longest so far tells.

    Raises:
        RequirementError: there are no samples.
    """
    began = last = time.monotonic()
    batches = batches_of(ctx, net.signature, size=_BATCH, most=ROWS)
    judging, fitting = judging_apart(batches, plan.judged)
    (asked,) = batches_of(ctx, net.signature, size=plan.rows, most=plan.rows)
    wanted = Walk(net.original, judging).answers()
    untouched = graph_alone(net.module, asked, ctx.workdir / "whole")
    entries, notes, longest = list[Whole](), list[Note](), 0.0
    for form in _forms(net, plan, ctx, notes):
        step, stays, changed = form
        found = changed if changed.merged else repaired(changed, fitting, seed=ctx.seed).model
        lost = damage(wanted, Walk(found.module, judging).answers(), classes=plan.classes)
        graph = graph_alone(found.module, asked, ctx.workdir / f"whole-{len(entries)}")
        entries.append(Whole(step, lost, stays, graph))
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        if now - began + longest > seconds:
            break
    return Wholes(untouched, tuple(entries), tuple(notes))


def _forms(net: Net, plan: WholePlan, ctx: Context, notes: list[Note]) -> Iterator[_Form]:
    """One of the stream, one of the pictures, one of the tokens, and so on."""
    kinds = [_slim(net, plan, ctx), _resized(net, plan, ctx), _merged(net, plan)]
    while kinds:
        for kind in tuple(kinds):
            try:
                yield next(kind)
            except StopIteration:
                kinds.remove(kind)
            except (RequirementError, SamplesError) as error:
                notes.append(Note("surgery", error.message))
                kinds.remove(kind)


def _slim(net: Net, plan: WholePlan, ctx: Context) -> Iterator[_Form]:
    shared = shared_channels(net.original, example_of(net))
    widths = stream_widths(net, shared)
    orders = stream_orders(net, widths, ctx) if widths and plan.stream else {}
    for share in plan.stream:
        stay = _stay(widths, share, plan.tile)
        if stay:
            step = Step("slim", {"channels": {width.name: n for width, n in stay.items()}})
            least = min(units / width.units for width, units in stay.items())
            yield step, least, slimmed(net, stay, orders, shared)


def _stay(widths: tuple[StreamWidth, ...], share: float, tile: int) -> dict[StreamWidth, int]:
    """Channels that stay of each width that can be made narrower by whole tiles."""
    found = {}
    for width in widths:
        units = in_tiles(width.units, share, tile)
        if units < width.units:
            found[width] = units
    return found


def _resized(net: Net, plan: WholePlan, ctx: Context) -> Iterator[_Form]:
    try:
        side = min(picture_in(net)[1])
    except RequirementError:
        return  # not a network of pictures
    steps = _steps(net, side)
    sizes = dict.fromkeys(in_tiles(side, share, steps) for share in plan.pictures)
    for size in sizes:
        if size < side:
            yield Step("resize", {"size": size}), 1.0, run(Resize(size), net, ctx).model


def _merged(net: Net, plan: WholePlan) -> Iterator[_Form]:
    if not any(each.fixed for each in attentions_in(net)):
        return  # not a network of tokens, or of texts of any length
    for share in plan.tokens:
        result = with_merged_tokens(net, share, {})
        if result.changed:
            yield Step("merge-tokens", {"share": share}), 1.0, result.model


def _steps(net: Net, side: int) -> int:
    """Pixels that make one of the smallest map, so that all maps keep their borders where they are."""
    sides = [
        int(size)
        for block in net.cut.blocks
        for size in block.gives[2:]
        if len(block.gives) == len("NCHW") and isinstance(size, int) and size > 1
    ]
    return max(1, side // min(sides, default=side))

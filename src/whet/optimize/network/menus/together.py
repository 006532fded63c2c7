"""What choices of several blocks do at once, told as the damage of each alone is.

Where damages turn out not to add up, the weights of the blocks that menus were made of are kept.
Their forms are made again as they were and get those weights, so that none is repaired, judged alone
or exported a second time. Forms share what was not changed and are what the menus held as well, so
this takes no more memory than those did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import fx

from whet.core.context import Context
from whet.errors import RequirementError
from whet.optimize.network.menus.damage import Answers, damage
from whet.optimize.network.menus.forms import Forms
from whet.optimize.network.menus.menu import ROWS, Choice, MenuPlan
from whet.optimize.network.structure.blocks import Block, extracted
from whet.optimize.network.structure.net import Batches, Net, batches_of, judging_apart
from whet.optimize.network.structure.shelf import kept_on
from whet.optimize.network.structure.walk import Walk

__all__ = ["BATCH", "Together", "answered", "keep_parts", "put"]

BATCH = 16  # samples that a network takes at once while it is changed

_ALL = 1e30  # damage where answers are no numbers any more
_PARTS = "parts"  # folder for the weights of changed blocks, below that of the menus


def put(walk: Walk, block: Block, part: fx.GraphModule) -> None:
    """Let a walk go on with what another block makes of what comes in."""
    with torch.no_grad():
        walk.put(block.span.exit, [part(*x) for x in walk.together(block.inputs)])


def answered(net: Net, judging: Batches, parts: Mapping[str, fx.GraphModule]) -> Answers:
    """What the original answers with other blocks in the places of some.

    Args:
        net: whose original and blocks they are.
        judging: inputs.
        parts: by the names of their blocks.
    """
    walk = Walk(net.original, judging)
    for block in net.cut.blocks:
        if block.name in parts:
            put(walk, block, parts[block.name])
    return walk.answers()


def keep_parts(folder: Path, menus: Sequence[Sequence[fx.GraphModule]]) -> None:
    """Keep the weights of changed blocks for `Together`.

    Args:
        folder: of the menus.
        menus: for each block its forms, itself first.
    """
    where = folder / _PARTS
    where.mkdir(parents=True, exist_ok=True)
    for place, menu in enumerate(menus):
        for entry, part in enumerate(menu[1:], 1):
            kept_on(where, _name(place, entry), part.state_dict)


class Together:
    """Damages of choices for several blocks at once, each as it was repaired by itself.

    Args:
        net: to which nothing was done yet.
        ctx: that the menus were made with.
        plan: likewise.
        menus: of its blocks.

    Raises:
        RequirementError: there are no samples.
    """

    def __init__(
        self, net: Net, ctx: Context, plan: MenuPlan, menus: Sequence[Sequence[Choice]]
    ) -> None:
        batches = batches_of(ctx, net.signature, size=BATCH, most=ROWS)
        self._judging, _ = judging_apart(batches, plan.judged)
        self._net, self._menus, self._classes = net, menus, plan.classes
        self._where = ctx.workdir / _PARTS
        self._forms = Forms(net, plan, ctx)
        self._wanted = answered(net, self._judging, {})
        self._parts: dict[tuple[int, int], fx.GraphModule] = {}

    def __call__(self, picks: Sequence[int]) -> float:
        """The damage of one pick from each menu; 0 keeps a block as it is.

        Raises:
            RequirementError: the block of a pick wasn't kept.
        """
        parts = {
            self._net.cut.blocks[place].name: self._part(place, entry)
            for place, entry in enumerate(picks)
            if entry
        }
        found = answered(self._net, self._judging, parts)
        lost = damage(self._wanted, found, classes=self._classes)
        return lost if math.isfinite(lost) else _ALL

    def _part(self, place: int, entry: int) -> fx.GraphModule:
        if (place, entry) not in self._parts:
            block, choice = self._net.cut.blocks[place], self._menus[place][entry]
            made = next(
                (net for steps, net in self._forms.of(block) if steps == choice.steps), None
            )
            if made is None or not (self._where / f"{_name(place, entry)}.npz").exists():
                raise RequirementError(
                    f"What '{block.name}' could become wasn't kept.",
                    "Remove the folder of the search, so that menus are made anew.",
                )
            part = extracted(made.module, block)
            part.load_state_dict(kept_on(self._where, _name(place, entry), dict))
            self._parts[place, entry] = part
        return self._parts[place, entry]


def _name(place: int, entry: int) -> str:
    return f"{place}-{entry}"

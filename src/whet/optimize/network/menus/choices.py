"""What each block of a network may become, and the damage that each choice does alone.

For each block some narrower forms of all its widths together, some with low-rank or separable pairs
in the places of its layers, and a bridge in its place (`whet.optimize.network.menus.forms`). Each is
repaired by itself between the original's blocks, on some of the samples, and its damage is told by
what the original answers with it on the others. With each choice comes the block alone as a graph, so that a
runtime can say what it takes; blocks that are alike share one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import fx

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.recipe import Step
from whet.errors import RequirementError
from whet.optimize.network.learning.learn import Pair
from whet.optimize.network.menus.adding import add_up
from whet.optimize.network.menus.alone import graph_alone
from whet.optimize.network.menus.damage import Answers, damage
from whet.optimize.network.menus.forms import Forms
from whet.optimize.network.menus.menu import ROWS, Choice, Choices, Combined, MenuPlan
from whet.optimize.network.menus.together import BATCH, answered, keep_parts, put
from whet.optimize.network.repair import mended
from whet.optimize.network.structure.blocks import Block, extracted
from whet.optimize.network.structure.net import Batches, Net, batches_of, judging_apart
from whet.optimize.network.structure.walk import Walk

__all__ = ["choices_of"]

_COMBINED = 10  # combinations that tell whether damages add up


def choices_of(net: Net, ctx: Context, plan: MenuPlan) -> Choices:
    """Make the menus of a network; where damages don't add up, its changed blocks are kept too.

    Args:
        net: to which nothing was done yet.
        ctx: with samples; graphs are written below its ``workdir``.
        plan: what to put on them.

    Raises:
        RequirementError: there are no samples, or nothing to choose.
    """
    batches = batches_of(ctx, net.signature, size=BATCH, most=ROWS)
    judging, fitting = judging_apart(batches, plan.judged)
    makers = _Makers(net, plan, ctx)
    asked = batches_of(ctx, net.signature, size=plan.rows, most=plan.rows)
    walks = _Walks(*(Walk(net.original, batches) for batches in (fitting, judging, asked)))
    wanted = walks.judging.fork().answers()
    made = [list(makers.menu(block, walks, wanted)) for block in net.cut.blocks]
    if all(len(menu) == 1 for menu in made):
        raise RequirementError("No block has anything to choose.", "Leave the network as it is.")
    sums = _combined(net, made, judging, wanted, plan.classes, ctx.seed)
    if not add_up(sums):
        keep_parts(ctx.workdir, [[each.part for each in menu] for menu in made])
    menus = tuple(tuple(each.choice for each in menu) for menu in made)
    return Choices(menus, _entries(net.cut.blocks), sums, net.cut.notes)


def _combined(
    net: Net,
    made: Sequence[Sequence[_Made]],
    judging: Batches,
    wanted: Answers,
    classes: bool,
    seed: int,
) -> tuple[Combined, ...]:
    """What some combinations of choices do together, against the sums of what they do alone.

    Each block is changed with a chance that is drawn for the whole combination, so that few and
    many changes are among them.
    """
    random, found = np.random.default_rng(seed), []
    for _ in range(_COMBINED):
        chance, parts, alone = random.uniform(0.1, 0.9), dict[str, fx.GraphModule](), 0.0
        for block, menu in zip(net.cut.blocks, made, strict=True):
            if len(menu) > 1 and random.random() < chance:
                picked = menu[int(random.integers(1, len(menu)))]
                alone += picked.choice.damage
                parts[block.name] = picked.part
        together = damage(wanted, answered(net, judging, parts), classes=classes)
        found.append(Combined(alone, together))
    return tuple(found)


def _entries(blocks: Sequence[Block]) -> tuple[int, ...]:
    exits = {block.span.exit: place for place, block in enumerate(blocks)}
    return tuple(exits.get(block.span.entry or "", -1) for block in blocks)


@dataclass(frozen=True)
class _Walks:
    """The original on the samples that fit, that judge, and on one request."""

    fitting: Walk
    judging: Walk
    asked: Walk


@dataclass(frozen=True)
class _Made:
    """A choice with the block that it makes."""

    choice: Choice
    part: fx.GraphModule


class _Makers:
    """Makes the choices of one block after another."""

    def __init__(self, net: Net, plan: MenuPlan, ctx: Context) -> None:
        self.net, self.plan, self.ctx = net, plan, ctx
        self.forms = Forms(net, plan, ctx)
        self.graphs: dict[str, Artifact] = {}

    def menu(self, block: Block, walks: _Walks, wanted: Answers) -> Iterator[_Made]:
        """The block as it is, and what it may become."""
        fitted = walks.fitting.together(block.inputs)
        answers = walks.fitting.fork().at(block.span.exit)
        (asked,) = walks.asked.together(block.inputs)
        walks.judging.together(block.inputs)  # forks begin here
        whole = extracted(self.net.module, block)
        yield self._made(whole, block, (), 0.0, asked)
        pairs = [Pair(x, x, y) for x, y in zip(fitted, answers, strict=True)]
        for steps, changed in self.forms.of(block):
            mended(changed, block, pairs, fit=True, steps=0, seed=self.ctx.seed)
            part = extracted(changed.module, block)
            fork = walks.judging.fork()
            put(fork, block, part)
            found = damage(wanted, fork.answers(), classes=self.plan.classes)
            yield self._made(part, block, steps, found, asked)

    def _made(
        self,
        part: fx.GraphModule,
        block: Block,
        steps: tuple[Step, ...],
        damage: float,
        asked: tuple[torch.Tensor, ...],
    ) -> _Made:
        size = sum(p.numel() * p.element_size() for p in part.parameters())
        key = _key(part, asked)
        if key not in self.graphs:
            folder = self.ctx.workdir / f"block-{len(self.graphs)}"
            self.graphs[key] = graph_alone(part, asked, folder)
        choice = Choice(block.name, steps, damage, size, self.graphs[key])
        return _Made(choice, part)


def _key(part: fx.GraphModule, asked: Sequence[torch.Tensor]) -> str:
    """Equal for blocks that do the same work: the same operators and layers over the same shapes."""
    places = {node: place for place, node in enumerate(part.graph.nodes)}
    # Sizes that a block takes aside are plain numbers.
    lines = [str([(*t.shape, t.dtype) if isinstance(t, torch.Tensor) else t for t in asked])]
    for node in part.graph.nodes:
        args = fx.node.map_arg((node.args, node.kwargs), lambda n: places[n])
        what = repr(part.get_submodule(node.target)) if node.op == "call_module" else node.op
        what = str(node.target) if node.op == "call_function" else what
        lines.append(f"{what} {args}")
    return "\n".join(lines)

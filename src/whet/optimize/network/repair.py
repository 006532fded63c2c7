"""What was changed brought back to what the original gives, block by block, without labels.

Theory of operation. A network and its original are walked side by side over the samples. Whenever a
block comes that was changed, its layers are fitted so that, from what they take *now*, they give
what the original's give; then the walk goes on with what the repaired block gives. So each repair
sees, and makes up for, what all before it left undone.

Closed form first (`whet.optimize.network.fitting.refit`): the layers whose inputs have become fewer, in
order, each to the answers of the original's layer of that name; a bridge to those of its block.
Then, where steps are asked for, by gradients: all weights of the block to the block's answers
(block-wise distillation; Practise, Wang and Wu 2023; Li et al. 2020), keeping the best by samples
that aren't learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import fx, nn

from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError
from whet.optimize.network.fitting.products import FITTED
from whet.optimize.network.fitting.refit import refitted
from whet.optimize.network.learning.learn import Pair, learnt
from whet.optimize.network.structure.blocks import Block, extracted
from whet.optimize.network.structure.modules import copied, part_at
from whet.optimize.network.structure.net import Batches, Net, batches_of, samples_of
from whet.optimize.network.structure.walk import Walk

__all__ = ["Repair", "changed_layers", "mended", "repaired"]

_BATCH = 16


@final
@dataclass(frozen=True)
class Repair(Pass[Net, Net]):
    """Repair what was changed, block by block.

    Attributes:
        fit: fit layers in closed form.
        steps: of gradients for each changed block, after that.
        rows: samples used at most.

    Raises:
        OptionError: nothing is to be done, or with too few rows.
    """

    name: ClassVar[str] = "repair"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    fit: bool = True
    steps: int = 0
    rows: int = 512

    def __post_init__(self) -> None:
        if self.steps < 0 or self.rows < 1 or not (self.fit or self.steps):
            raise OptionError(
                f"{self.steps} steps over {self.rows} rows repair nothing.",
                "Fit in closed form (fit), or give steps of 1 or more, and rows.",
            )

    def requires(self, model: Net, ctx: Context) -> None:
        model.need_own_layers()
        samples_of(ctx)

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        batches = batches_of(ctx, model.signature, size=_BATCH, most=self.rows)
        return repaired(model, batches, fit=self.fit, steps=self.steps, seed=ctx.seed)

    def ensures(self, model: Net, ctx: Context) -> None:
        """Each fit keeps the better of before and after by samples that it hasn't seen."""


def repaired(
    net: Net, batches: Batches, *, fit: bool = True, steps: int = 0, seed: int = 0
) -> PassResult[Net]:
    """A network whose changed blocks give as nearly as they can what the original's give.

    Args:
        net: it stays as it is.
        batches: inputs.
        fit: in closed form.
        steps: of gradients for each block.
        seed: of what is drawn.
    """
    module = copied(net.module)
    found, changed = replace(net, module=module), False
    own, its = Walk(module, batches), Walk(net.original, batches)
    for block in net.cut.blocks:
        if changed_layers(found, block):
            pairs = [
                Pair(taken, given, answer)
                for taken, given, answer in zip(
                    own.together(block.inputs),
                    its.together(block.inputs),
                    found.restricted(block.span.exit, its.fork().at(block.span.exit)),
                    strict=True,
                )
            ]
            mended(found, block, pairs, fit=fit, steps=steps, seed=seed)
            changed = True
    return PassResult(found, changed)


def mended(
    net: Net, block: Block, pairs: Sequence[Pair], *, fit: bool, steps: int, seed: int
) -> None:
    """Repair one block in place.

    Args:
        net: whose module's layers are changed.
        block: of it, which was changed.
        pairs: what both networks' blocks take, and what the original's gives.
        fit: in closed form.
        steps: of gradients.
        seed: of what is drawn.
    """
    part = extracted(net.module, block)
    if fit:
        fitted, _ = refitted(
            part,
            extracted(net.original, block),
            [(pair.taken, pair.given) for pair in pairs],
            _to_fit(net, block, pairs),
            kept=net.kept,
            pairs=net.pairs,
            sparse=net.sparse,
            seed=seed,
        )
        _give(part, fitted)
    if steps:
        learnt(part, pairs, steps=steps, seed=seed, sparse=net.sparse)


def changed_layers(net: Net, block: Block) -> tuple[str, ...]:
    """Layers of a block that aren't as they were, in order.

    They take fewer channels than the original's, or it hasn't them, or they have zeros that stay.
    """
    part = extracted(net.module, block)
    found = []
    for node in part.graph.find_nodes(op="call_module"):
        target = str(node.target)
        for name, layer in part.get_submodule(target).named_modules():
            path = f"{target}.{name}" if name else target
            other = _takes(part_at(net.original, path)) != _takes(layer)
            if isinstance(layer, FITTED) and (other or path in net.sparse):
                found.append(path)
    return tuple(dict.fromkeys(found))


def _to_fit(net: Net, block: Block, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Changed layers, but for firsts of pairs that are as they should be.

    Kernels over single channels always are: what a second has to take is told where it takes few
    channels, and those are many. The first of a low-rank pair is where it takes what it was made
    for.
    """
    changed = changed_layers(net, block)
    layers = tuple(name for name in changed if not (name in net.pairs and _by_channel(net, name)))
    lead = layers[0] if layers and layers[0] == changed[0] else ""
    if lead not in net.pairs:
        return layers
    own, its = part_at(net.module, lead), part_at(net.original, net.pairs[lead])
    if _takes(own) != _takes(its):
        return layers
    alike = all(
        bool(torch.as_tensor(one == other).all())
        for pair in pairs
        for one, other in zip(pair.taken, pair.given, strict=True)
    )
    return layers[1:] if alike else layers


def _by_channel(net: Net, name: str) -> bool:
    """Whether a layer works on single channels."""
    return bool(getattr(part_at(net.module, name), "groups", 1) > 1)


def _takes(layer: object) -> tuple[int, ...] | None:
    """Channels that a layer takes, those of a group where it has several, and its kernel."""
    return tuple(layer.weight.shape[1:]) if isinstance(layer, FITTED) else None


def _give(part: nn.Module, fitted: fx.GraphModule) -> None:
    """Put weights into the layers that the network holds."""
    with torch.no_grad():
        for own, new in zip(part.parameters(), fitted.parameters(), strict=True):
            own.copy_(new)

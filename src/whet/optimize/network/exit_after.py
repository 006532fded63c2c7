"""A network that ends early: behind one of its blocks a linear head says what the original would.

Most inputs are easy, and what tells their classes is there long before the last layer (BranchyNet;
Teerapittayanon et al. 2016; Kaya et al. 2019, "Shallow-Deep Networks"). By itself such a network is
weak; in front of the original, with only its sure answers let out, it makes a cascade
(`whet.search.closing.cascade`). The blocks stay as they are, so nothing but the head is fitted:
in closed form, to the original's scores, without labels (`whet.optimize.network.exits.fit`).

How positions become one row of numbers (their mean, means over parts of a map, a text's first
token, the mean of the tokens that a mask names) is chosen by samples that the head isn't fitted to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch.utils._pytree import tree_flatten

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PostconditionError
from whet.optimize.network.exits.ending import Ending, ended, ending_at
from whet.optimize.network.exits.fit import Fitted, Seen, fitted
from whet.optimize.network.exits.pool import Head, Pool, Way, pooled, pools_for
from whet.optimize.network.learning.right import right_of
from whet.optimize.network.structure.modules import part_at
from whet.optimize.network.structure.net import Net, Rows, samples_of
from whet.optimize.network.structure.walk import Walk

__all__ = ["ExitAfter"]

_BATCH = 32


@final
@dataclass(frozen=True)
class ExitAfter(Pass[Net, Net]):
    """End behind a block: a linear head answers in the place of all that lay behind it.

    Attributes:
        block: its name.
        rows: samples that the head is fitted to and judged by, at most.
        labels: the output whose classes the samples' labels are, to be learnt too; none if empty.

    Raises:
        OptionError: no block is named, or a head would be fitted to nothing.
    """

    name: ClassVar[str] = "exit-after"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    block: str
    rows: int = 4096
    labels: str = ""

    def __post_init__(self) -> None:
        if not self.block:
            raise OptionError("No block is named.", "Name the block to end behind.")
        if self.rows < 1:
            raise OptionError(
                f"Nothing is fitted to {self.rows} rows.", "Give 1 or more, better thousands."
            )

    def requires(self, model: Net, ctx: Context) -> None:
        model.need_own_layers()
        samples_of(ctx)
        ending_at(model, self.block)
        right_of(ctx, model.signature, self.labels)

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        ending = ending_at(model, self.block)
        found = fitted(self._seen(model, ending, ctx))
        taken = (ending.mask,) if found.pool.way is Way.MASKED and ending.mask else ()
        head = Head(found.pool, found.layer, ending.ones).eval()
        return PassResult(ended(model, ending, head, taken), True, (_note(self.block, found),))

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # the graph says it
        nodes = {node.name: node for node in model.module.graph.nodes}
        *_, last = model.cut.blocks
        head = nodes.get(last.span.exit)
        layer = part_at(model.module, str(head.target)) if head is not None else None
        if model.ends_behind != self.block or not isinstance(layer, Head):
            raise PostconditionError(f"It doesn't end behind '{self.block}'.", "Report this.")
        if not all(bool(torch.isfinite(p).all()) for p in layer.parameters()):
            raise PostconditionError(
                f"The head behind '{self.block}' has weights that are no numbers.",
                "Name another block, or give more samples.",
            )

    def _seen(self, model: Net, ending: Ending, ctx: Context) -> Seen:
        """What the block gives, pooled in each way, and what the original does; batch by batch."""
        rows, right = (
            Rows(samples_of(ctx), model.signature),
            right_of(ctx, model.signature, self.labels),
        )
        order = np.random.default_rng(ctx.seed).permutation(len(rows))[: self.rows]
        values, scores = dict[Pool, list[torch.Tensor]](), list[torch.Tensor]()
        for own, wanted in _answers(model, ending, rows, order):
            scores.append(wanted)
            for pool, value in own.items():
                values.setdefault(pool, []).append(value)
        return Seen(
            {pool: torch.cat(each) for pool, each in values.items()},
            torch.cat(scores),
            None if right is None else right.at(order),
        )


def _answers(
    net: Net, ending: Ending, rows: Rows, order: np.ndarray
) -> Iterator[tuple[dict[Pool, torch.Tensor], torch.Tensor]]:
    """For each batch what the block gives in each way of pooling, and the original's scores."""
    places = [node.name for node in net.module.graph.find_nodes(op="placeholder")]
    for start in range(0, len(order), _BATCH):
        batch = rows.take(order[start : start + _BATCH])
        walk = Walk(net.module, [batch])
        (value,) = walk.at(ending.block.span.exit)
        teacher = walk if net.module is net.teacher else Walk(net.teacher, [batch])
        (scores,) = teacher.at(ending.scores)
        given = dict(zip(places, tree_flatten(batch)[0], strict=True))
        mask = given.get(ending.mask or "")
        pools = pools_for(ending.block.gives, tuple(value.shape), mask=mask is not None)
        yield {pool: pooled(value, pool, mask) for pool in pools}, scores.flatten(1)


def _note(block: str, found: Fitted) -> Note:
    how = found.pool.way.value
    if found.pool.cells > 1:
        how = f"{how} of {found.pool.cells} x {found.pool.cells} parts"
    fit = "in closed form" if found.closed else "by its cross entropy"
    return Note(
        f"exit-after {block}",
        f"It ends there, with a head over {found.layer.in_features} numbers ({how}), fitted {fit}: an"
        f" early stage for a cascade. On {found.held} samples that it wasn't fitted to, it has the"
        f" original's first class in {found.agrees:.1%}.",
    )

"""A changed network taught as a whole to answer as the original does; labels help, and aren't needed.

Theory of operation. Repair block by block sees one block at a time, so what it leaves undone adds
up. Here all weights learn together: the network is to give what the original gives at the end and
between all blocks (Hinton et al. 2015; Romero et al. 2015), on views of the samples that are made
anew each time (`whet.optimize.network.learning.views`). Between blocks both networks have values of the same
name and shape, but for channels that were given up, so nothing needs an adaptor; a network on
smaller pictures or of merged tokens learns the answers alone. A substitute is one block: it has
what its body gives in common with the original, and the answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, RequirementError
from whet.optimize.network.learning.pair import pair_of
from whet.optimize.network.learning.right import right_of
from whet.optimize.network.learning.train import Schedule, pace, train
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.net import Net, Rows, samples_of

__all__ = ["Distill", "step_s"]

_CHECKPOINT = "distilling.pt"


@final
@dataclass(frozen=True)
class Distill(Pass[Net, Net]):
    """Teach a changed network what the original gives.

    A run that was cut off goes on from its last checkpoint in the pass's folder.

    Attributes:
        steps: one batch each.
        batch: rows of one.
        rate: of learning at its highest, as a share of a weight tensor's root mean square.
        labels: the output whose classes the samples' labels are, to be learnt too; none if empty.
        norms: batch norms take the statistics of each batch and keep a running mean of them, as a
            network has to that begins with random weights; else they keep those that they have.

    Raises:
        OptionError: nothing is to be learnt.
    """

    name: ClassVar[str] = "distill"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    steps: int = 1000
    batch: int = 64
    rate: float = 3e-3
    labels: str = ""
    norms: bool = False

    def __post_init__(self) -> None:
        least = 2 if self.norms else 1  # one row tells no variance
        if self.steps < 1 or self.batch < least or not 0 < self.rate < 1:
            raise OptionError(
                f"Nothing is learnt in {self.steps} steps of {self.batch} rows at a rate of"
                f" {self.rate}.",
                f"Give 1 or more steps, {least} or more rows, and a rate between 0 and 1.",
            )

    def requires(self, model: Net, ctx: Context) -> None:
        model.need_floats()
        samples_of(ctx)
        if model.module is model.teacher:
            raise RequirementError(
                "The network is the original still, and has nothing to learn from it.",
                "Put what changes it before this pass.",
            )
        right_of(ctx, model.signature, self.labels)

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        found = replace(model, module=copied(model.module))
        rows = Rows(samples_of(ctx), model.signature)
        schedule = Schedule(self.steps, self.batch, self.rate, ctx.seed, self.norms)
        checkpoint, right = ctx.workdir / _CHECKPOINT, right_of(ctx, model.signature, self.labels)
        changed = train(
            *pair_of(found),
            rows,
            schedule,
            checkpoint,
            right=right,
            sparse=model.sparse,
            tell=ctx.tell,
        )
        return PassResult(found, changed)

    def ensures(self, model: Net, ctx: Context) -> None:
        """The weights that did best on rows held out are kept, those from before among them."""


def step_s(net: Net, ctx: Context, batch: int) -> float:
    """Seconds that one step takes here.

    Args:
        net: changed, as it would learn; it stays as it is.
        ctx: with samples.
        batch: rows of a step.
    """
    student, teacher = pair_of(replace(net, module=copied(net.module)))
    return pace(student, teacher, Rows(samples_of(ctx), net.signature), batch)

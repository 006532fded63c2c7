"""Training with 8-bit rounding in place: steps and weights learnt together, as the last polish.

Theory of operation. Quantisers that look at samples choose ranges, and leave weights as they are
but for their biases. Here the network learns while it rounds as integer kernels do: weights by a
step for each output channel, and what layers take by a step each
(`whet.optimize.network.rounding.places` says which). It begins with the steps of least squared
error; then steps, weights, biases and batch norms move together, so that the answers and what flows
between blocks are again the original's (Esser et al. 2020, "Learned step size quantization"; Polino
et al. 2018 for the teacher). Labels help, as in `whet.optimize.network.distill`.

What comes out holds integers, and becomes a graph that runtimes compute in int8 as it is: no
quantiser comes after it, and nothing else that changes the network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

from torch import fx

from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.network.drop import Gap
from whet.optimize.network.learning.pair import pair_of
from whet.optimize.network.learning.right import right_of
from whet.optimize.network.learning.train import Schedule, pace, train
from whet.optimize.network.rounding.grid import MOST, MOST_REDUCED
from whet.optimize.network.rounding.places import Places, able, places_in
from whet.optimize.network.rounding.put import layers_in_int8, put_in, settle
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.net import Net, Rows, batches_of, samples_of

__all__ = ["LearnInt8", "step_s"]

_CHECKPOINT = "learning-int8.pt"
_ROWS, _BATCH = 128, 16  # that tell first steps


@final
@dataclass(frozen=True)
class LearnInt8(Pass[Net, Net]):
    """Teach a network to answer as the original does, in 8-bit integers.

    A run that was cut off goes on from its last checkpoint in the pass's folder.

    Attributes:
        steps: one batch each.
        batch: rows of one.
        rate: of learning at its highest, as a share of a weight tensor's root mean square, and of
            each step of rounding.
        labels: the output whose classes the samples' labels are, to be learnt too; none if empty.
        reduce_range: weights of 7 bits, against overflow on CPUs without VNNI.

    Raises:
        OptionError: nothing is to be learnt.
    """

    name: ClassVar[str] = "learn-int8"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    steps: int = 1000
    batch: int = 64
    rate: float = 1e-3
    labels: str = ""
    reduce_range: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or not 0 < self.rate < 1:
            raise OptionError(
                f"Nothing is learnt in {self.steps} steps of {self.batch} rows at a rate of"
                f" {self.rate}.",
                "Give 1 or more steps and rows, and a rate between 0 and 1.",
            )

    def requires(self, model: Net, ctx: Context) -> None:
        model.need_floats()
        samples_of(ctx)
        if not able(model.module):
            raise RequirementError(
                "The network has no convolution and no linear layer that could be rounded.",
                "Leave it in float, or have its graph quantised.",
            )
        right_of(ctx, model.signature, self.labels)

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        most = MOST_REDUCED if self.reduce_range else MOST
        found, places = _rounding(model, ctx, most)
        rows = Rows(samples_of(ctx), model.signature)
        schedule = Schedule(self.steps, self.batch, self.rate, ctx.seed, single=True)
        checkpoint, right = ctx.workdir / _CHECKPOINT, right_of(ctx, model.signature, self.labels)
        train(
            *pair_of(found),
            rows,
            schedule,
            checkpoint,
            right=right,
            sparse=model.sparse,
            tell=ctx.tell,
        )
        settle(found.module, {block.span.exit for block in model.cut.blocks})
        return PassResult(replace(found, rounded=True), True, places.notes)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # layers say it
        if not layers_in_int8(model.module):
            raise PostconditionError(
                "No layer of the network takes what can be rounded.", "Leave this pass out."
            )


def step_s(net: Net, ctx: Context, batch: int) -> float:
    """Seconds that one step takes here.

    Args:
        net: as it would learn; it stays as it is.
        ctx: with samples.
        batch: rows of a step.
    """
    found, _ = _rounding(net, ctx, MOST)
    rows = Rows(samples_of(ctx), net.signature)
    return pace(*pair_of(found), rows, batch, single=True)


def _rounding(net: Net, ctx: Context, most: int) -> tuple[Net, Places]:
    """The network as it learns, over weights of its own."""
    module = copied(net.module)
    _open_gaps(module)
    batches = batches_of(ctx, net.signature, size=_BATCH, most=_ROWS)
    places = places_in(module, batches[0])
    put_in(module, places, batches, most=most, seed=ctx.seed)
    return replace(net, module=module), places


def _open_gaps(module: fx.GraphModule) -> None:
    """Call what stands in the place of blocks as the layer that it is; in place."""
    for node in module.graph.find_nodes(op="call_module"):
        if isinstance(module.get_submodule(str(node.target)), Gap):
            node.target, node.args = f"{node.target}.layer", node.args[:1]
    module.recompile()

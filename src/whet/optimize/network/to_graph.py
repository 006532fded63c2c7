"""From a network under surgery to a graph: the pass that changes stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import fx
from torch.utils._pytree import tree_flatten

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.core.spec import Arrays
from whet.errors import PostconditionError
from whet.optimize.export import TOLERANCE, export
from whet.optimize.graph.runs import largest_difference
from whet.optimize.intake.network import Kind, Network
from whet.optimize.network.rounding.put import unrounded
from whet.optimize.network.structure.net import Net, samples_of

__all__ = ["ToGraph"]

_EXAMPLE_ROWS = 4


@final
@dataclass(frozen=True)
class ToGraph(Pass[Net, Artifact]):
    """Export the network with the inputs, outputs and free axes of the original's graph.

    Both are run side by side at several sizes, as at the first export. Of a network that rounds,
    a sum that lies near the middle between two steps is rounded up by one and down by the other,
    as they add in another order; so they may be as far apart as rounding takes each of them.
    """

    name: ClassVar[str] = "to-graph"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.GRAPH

    def requires(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # any network can be tried
        samples_of(ctx)

    def apply(self, model: Net, ctx: Context) -> PassResult[Artifact]:
        wrappers = require("whet.optimize.intake.modules", "export a network")
        samples, inputs = samples_of(ctx), model.signature.inputs
        names = tuple(spec.name for spec in inputs)
        network = Network(
            ctx.reference.file.stem,
            Kind.TORCH,
            module=wrappers.Called(model.module, names),
            inputs=inputs,
            parameters=names,
            outputs=tuple(spec.name for spec in model.signature.outputs),
        )
        rows = np.arange(min(_EXAMPLE_ROWS, len(samples)))
        example = samples.rows(rows)
        tolerance = _tolerance(model, example) if model.rounded else TOLERANCE
        made = export(network, inputs, example, ctx.workdir, tolerance=tolerance)
        return PassResult(made.graph, True, made.notes)

    def ensures(self, model: Artifact, ctx: Context) -> None:
        own, its = model.signature, ctx.reference.signature
        if own.inputs != its.inputs or [o.name for o in own.outputs] != [
            o.name for o in its.outputs
        ]:
            raise PostconditionError(
                f"The graph takes and gives {own}, the original {its}.", "Report this."
            )


def _tolerance(net: Net, example: Arrays) -> float:
    """Twice what rounding values takes the answers away, as a share of the values around."""
    given = [torch.from_numpy(example[spec.name].copy()) for spec in net.signature.inputs]
    own, its = (_answers(module, given) for module in (net.module, unrounded(net.module)))
    return max(TOLERANCE, 2 * largest_difference(its, own))


def _answers(module: fx.GraphModule, given: list[torch.Tensor]) -> Arrays:
    with torch.no_grad():
        found = tree_flatten(module(*given))[0]
    tensors = (each for each in found if isinstance(each, torch.Tensor))
    return {str(place): each.numpy() for place, each in enumerate(tensors)}

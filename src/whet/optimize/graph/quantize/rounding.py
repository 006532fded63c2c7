"""Rounds weights to the 8-bit grid in advance, so that what rounding costs cancels out.

Goes before a quantiser with one scale per output channel, which then finds every
weight on its grid already. The graph stays float and its speed is the quantiser's; what
changes is how far the answers move (`whet.optimize.graph.quantize.feedback`). No labels
are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PassError
from whet.optimize.graph.io import INLINE_LIMIT, need_onnx, read_onnx, weight_bytes
from whet.optimize.graph.quantize.calibration import Rows, need_rows
from whet.optimize.graph.quantize.feedback import nearest, output_error, rounded
from whet.optimize.graph.quantize.moments import Intake, gather, in_portions
from whet.optimize.graph.quantize.weighted import WeightedLayer, weighted_layers
from whet.optimize.graph.sound import ensure_sound, write_kept

__all__ = ["RoundWeights"]

_MOST_INPUTS = 8192  # inputs of one output: the moments of more are too large


@final
@dataclass(frozen=True)
class RoundWeights(Pass[Artifact, Artifact]):
    """Round the weights of convolutions, matrix products and recurrent layers with error feedback.

    Attributes:
        subset_size: calibration rows that are run to see what each layer takes in.
        seed: of the choice of rows and of patches; ``None`` takes the context's.

    Raises:
        OptionError: a number out of its range.
    """

    name: ClassVar[str] = "round-weights"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    subset_size: int = 128
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.subset_size < 1:
            raise OptionError(
                f"subset_size={self.subset_size} gives nothing to look at.", "Give 1 or more."
            )

    def requires(self, model: Artifact, ctx: Context) -> None:
        need_onnx(model, self.name)
        need_rows(model, ctx, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        graph = read_onnx(model)
        if weight_bytes(graph) >= INLINE_LIMIT:
            raise PassError("The graph is too large to look at its layers.", "Leave this pass out.")
        seed = ctx.seed if self.seed is None else self.seed
        rows = Rows(need_rows(model, ctx, self.name), self.subset_size, seed)
        found, notes = weighted_layers(graph, "Not rounded in advance", most_inputs=_MOST_INPUTS)
        by_intake: dict[Intake, list[WeightedLayer]] = {}
        for layer in found:
            if layer.intake is not None:
                by_intake.setdefault(layer.intake, []).append(layer)
        done = 0
        for portion in in_portions(by_intake):
            moments = gather(graph, portion, rows, len(rows), threads=ctx.threads, seed=seed)
            for intake, seen in zip(portion, moments, strict=True):
                done += sum(_round(layer, seen) for layer in by_intake[intake])
        if not done:
            raise PassError(
                f"The pass '{self.name}' found no weights that gain by it.", "Leave it out."
            )
        return PassResult(write_kept(graph, model, ctx, "model"), True, notes)

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        ensure_sound(model, self.name)


def _round(layer: WeightedLayer, moments: NDArray[np.float32]) -> bool:
    """Round one weight in place, where that is better than each number for itself."""
    numpy_helper = require("onnx.numpy_helper", "edit a graph")
    matrix = layer.matrix()
    parts = matrix.reshape(len(moments), -1, moments.shape[-1])
    changed = False
    made = np.empty_like(parts)
    for group, (part, seen) in enumerate(zip(parts, moments.astype(np.float64), strict=True)):
        plain, better = nearest(part), rounded(part, seen)
        gains = output_error(part, better, seen) < output_error(part, plain, seen)
        made[group] = better if gains else part
        changed |= gains
    if changed:
        shaped = layer.shaped(made.reshape(matrix.shape).astype(np.float32))
        layer.weight.CopyFrom(numpy_helper.from_array(shaped, layer.weight.name))
    return changed

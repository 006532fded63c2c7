"""Gives layers that stay in float the weights back that `round-weights` took from them.

A rounded weight costs something even where the arithmetic is float, so a layer whose weights are
the damage isn't restored by its arithmetic alone. Goes behind `round-weights` where that is the
first pass, so that many sets of layers share one rounded graph, which takes long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import RequirementError
from whet.optimize.graph.io import need_onnx, read_onnx
from whet.optimize.graph.quantize.groups import stem
from whet.optimize.graph.quantize.weighted import weighted_layers
from whet.optimize.graph.sound import ensure_sound, write_kept

__all__ = ["RestoreWeights"]


@final
@dataclass(frozen=True)
class RestoreWeights(Pass[Artifact, Artifact]):
    """Take the weights of some layers from the untouched graph.

    Attributes:
        ignored: operators that the quantiser behind leaves in float, by the names that it
            knows them by; those without weights say nothing here.
    """

    name: ClassVar[str] = "restore-weights"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    ignored: tuple[str, ...] = ()

    def requires(self, model: Artifact, ctx: Context) -> None:
        need_onnx(model, self.name)
        need_onnx(ctx.reference, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        graph = read_onnx(model)
        originals = {tensor.name: tensor for tensor in read_onnx(ctx.reference).graph.initializer}
        wanted = {stem(name) for name in self.ignored}
        layers, _ = weighted_layers(graph, "Left as it is")
        changed = False
        for layer in layers:
            if wanted.isdisjoint(layer.names):
                continue
            original = originals.get(layer.weight.name)
            if original is None or original.dims != layer.weight.dims:
                raise RequirementError(
                    f"The untouched graph has no weight '{layer.weight.name}' of this shape.",
                    "Let 'round-weights' be the first pass.",
                )
            changed |= original != layer.weight
            layer.weight.CopyFrom(original)
        if not changed:
            return PassResult(model, False, ())
        return PassResult(write_kept(graph, model, ctx, "model"), True, ())

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        ensure_sound(model, self.name)

"""Weights stored as 8-bit integers on the grid of `whet.optimize.graph.quantize.feedback`.

The arithmetic stays float: a DequantizeLinear stands before each layer, which OpenVINO computes
once when it loads the graph and ONNX Runtime, for some layers, with each request. So it is for
the size of the file, not for speed. After `round-weights` nothing moves in the graph; by itself
each number goes to the nearest. Some runtimes round what enters a matrix product of stored
integers, row by row, so that the engine isn't quite the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import PassError, RequirementError
from whet.optimize.graph.io import need_onnx, read_onnx
from whet.optimize.graph.names import fresh_name
from whet.optimize.graph.quantize.feedback import MOST, scales_of
from whet.optimize.graph.quantize.weighted import WeightedLayer, weighted_layers
from whet.optimize.graph.sound import ensure_sound, write_kept

if TYPE_CHECKING:
    import onnx

__all__ = ["StoreInt8"]

_OPSET = 13  # scales per channel entered ONNX with it


@final
@dataclass(frozen=True)
class StoreInt8(Pass[Artifact, Artifact]):
    """Store the weights of convolutions, matrix products and recurrent layers as int8.

    Each output channel has a scale of its own: each row of every gate.

    Attributes:
        recurrent: store those of recurrent layers too. OpenVINO compiles no such layer with
            stored weights in a graph that has quantised activations.
    """

    name: ClassVar[str] = "store-int8"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    recurrent: bool = True

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        need_onnx(model, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        graph = read_onnx(model)
        opset = next((e.version for e in graph.opset_import if e.domain in {"", "ai.onnx"}), 0)
        if opset < _OPSET:
            raise RequirementError(
                f"The graph has opset {opset}; scales per channel need {_OPSET}.",
                "Export the network with opset 17 or newer.",
            )
        layers, notes = weighted_layers(graph, "Left in float", recurrent=self.recurrent)
        if not layers:
            raise PassError(
                f"The pass '{self.name}' found no weights to store.", "Leave this pass out."
            )
        for layer in layers:
            _store(graph.graph, layer)
        return PassResult(write_kept(graph, model, ctx, "model"), True, notes)

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        ensure_sound(model, self.name)


def _store(graph: onnx.GraphProto, layer: WeightedLayer) -> None:
    """Put integers, scales and a DequantizeLinear in the place of a float weight."""
    onnx = require("onnx", "edit a graph")
    name, matrix = layer.weight.name, layer.matrix()
    # In single precision, as the graph holds them: the integers are those of its own scales.
    scales = scales_of(matrix).astype(np.float32)
    steps = np.clip(np.round(matrix / scales), -MOST, MOST).astype(np.int8)
    stored, scale = fresh_name(graph, f"{name}_int8"), fresh_name(graph, f"{name}_scale")
    layer.weight.CopyFrom(onnx.numpy_helper.from_array(layer.shaped(steps), stored))
    graph.initializer.append(onnx.numpy_helper.from_array(scales[:, 0], scale))
    widened = onnx.helper.make_node(
        "DequantizeLinear",
        [stored, scale],
        [name],
        fresh_name(graph, f"{name}_widen"),
        axis=layer.axis,
    )
    graph.node.insert(0, widened)

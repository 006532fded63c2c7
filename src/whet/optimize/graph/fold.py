"""Folding the arithmetic of a picture transform into the graph.

The network takes ``(x * scale - mean) / std`` in float32, pictures are uint8.
With ``slope = scale / std`` and ``shift = -mean / std`` (in float64, rounded
once) the graph computes ``float(x) * slope + shift`` itself and takes raw
pictures: a quarter of the bytes to send, and no work outside the engine. Two
float32 roundings apart, that is the same number.

The transpose comes first, on bytes: it moves a quarter of what it would move
in float32, and the constants then lie along a slow axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.core.spec import Dim, Signature, TensorSpec
from whet.data.transform import ImageTransform
from whet.errors import OptionError, RequirementError
from whet.optimize.graph.io import need_onnx, read_onnx, signature_of, write_onnx
from whet.optimize.graph.names import fresh_name, rename_values
from whet.optimize.graph.sound import ensure_sound

if TYPE_CHECKING:
    import onnx

__all__ = ["FoldTransform", "slopes_and_shifts"]


def slopes_and_shifts(
    scale: float, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """``slope`` and ``shift`` a channel, such that ``x * slope + shift = (x * scale - mean) / std``."""
    return (
        tuple(scale / s for s in std),
        tuple(-m / s for m, s in zip(mean, std, strict=True)),
    )


@final
@dataclass(frozen=True)
class FoldTransform(Pass[Artifact, Artifact]):
    """Let the graph take raw pictures, uint8 (batch, height, width, channels).

    Attributes:
        input: name of the graph's input; it keeps its name.
        height, width: of the pictures.
        scale, mean, std: the arithmetic ``(x * scale - mean) / std``.
        layout: order of the axes that the graph takes now.
    """

    input: str
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1 / 255
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    name: ClassVar[str] = "fold-transform"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not self.mean or not all(s > 0 for s in self.std):
            raise OptionError(
                f"The mean {self.mean} and std {self.std} don't make a normalisation.",
                "Give one mean and one positive std a channel.",
            )
        if self.layout not in {"NCHW", "NHWC"}:
            raise OptionError(f"'{self.layout}' is no layout.", "Give 'NCHW' or 'NHWC'.")

    @staticmethod
    def of(transform: ImageTransform) -> FoldTransform:
        """The pass that folds a transform's arithmetic."""
        height, width = transform.size
        return FoldTransform(
            input=transform.input,
            height=height,
            width=width,
            mean=transform.mean,
            std=transform.std,
            scale=transform.scale,
            layout=transform.layout,
        )

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # nothing but a graph
        need_onnx(model, self.name)
        spec = next((s for s in model.signature.inputs if s.name == self.input), None)
        if spec is None:
            raise RequirementError(
                f"The graph has no input '{self.input}'.",
                f"It takes {', '.join(s.name for s in model.signature.inputs)}.",
            )
        wanted = self._float_shape(spec.shape[0] if spec.shape else 1)
        fits = len(spec.shape) == 4 and all(
            isinstance(have, str) or have == want
            for have, want in zip(spec.shape, wanted, strict=True)
        )
        if spec.dtype != "float32" or not fits:
            raise RequirementError(
                f"The graph takes {spec}, the transform gives float32{list(wanted)}.",
                "Set size, layout and channels of the transform as the network wants them.",
            )

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        proto = read_onnx(model)
        old = next(s for s in signature_of(proto).inputs if s.name == self.input)
        raw = TensorSpec(
            self.input, "uint8", (old.shape[0], self.height, self.width, len(self.mean))
        )
        _prepend(proto, self, raw)
        signature = Signature(
            tuple(raw if s.name == self.input else s for s in model.signature.inputs),
            model.signature.outputs,
        )
        return PassResult(write_onnx(proto, ctx.workdir, self.name, signature), True)

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the file says it all
        ensure_sound(model, self.name)

    def _float_shape(self, batch: Dim) -> tuple[Dim, ...]:
        channels = len(self.mean)
        if self.layout == "NCHW":
            return (batch, channels, self.height, self.width)
        return (batch, self.height, self.width, channels)


def _prepend(model: onnx.ModelProto, fold: FoldTransform, raw: TensorSpec) -> None:
    onnx = require("onnx", "fold a transform")
    graph, helper = model.graph, onnx.helper
    inner = fresh_name(graph, f"{fold.input}_normalised")
    rename_values(graph, {fold.input: inner})
    place = next(i for i, value in enumerate(graph.input) if value.name == inner)
    value = helper.make_tensor_value_info(fold.input, onnx.TensorProto.UINT8, list(raw.shape))
    graph.input.remove(graph.input[place])
    graph.input.insert(place, value)
    shape = (1, -1, 1, 1) if fold.layout == "NCHW" else (1, 1, 1, -1)
    nodes, last = [], fold.input
    if fold.layout == "NCHW":
        planes = fresh_name(graph, f"{fold.input}_planes")
        nodes.append(helper.make_node("Transpose", [last], [planes], perm=[0, 3, 1, 2]))
        last = planes
    floats = fresh_name(graph, f"{fold.input}_float")
    nodes.append(helper.make_node("Cast", [last], [floats], to=onnx.TensorProto.FLOAT))
    last = floats
    slopes, shifts = slopes_and_shifts(fold.scale, fold.mean, fold.std)
    for kind, values, stem in (("Mul", slopes, "scaled"), ("Add", shifts, "")):
        constant = fresh_name(graph, f"{fold.input}_{kind.lower()}")
        graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(values, np.float32).reshape(shape), constant)
        )
        out = fresh_name(graph, f"{fold.input}_{stem}") if stem else inner
        nodes.append(helper.make_node(kind, [last, constant], [out]))
        last = out
    for number, node in enumerate(nodes):
        node.name = f"{fold.input}_transform_{number}"
        graph.node.insert(number, node)

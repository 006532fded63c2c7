"""Weight-only quantisation: small on disk and in memory, activations stay float.

Pays where a network waits for its weights (large matrix products on few rows)
and where size is the limit; a convolution gains nothing in speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PassError, PostconditionError, RequirementError
from whet.optimize.graph.io import need_onnx, read_onnx, write_onnx
from whet.optimize.graph.ir import check_ir, need_ir, read_ir, write_ir
from whet.optimize.graph.quantize import layers
from whet.optimize.graph.quantize._quiet import quiet_nncf
from whet.optimize.graph.quantize.gemm import plain_gemms
from whet.optimize.graph.quantize.mend import mend
from whet.optimize.graph.quantize.onnxes import named
from whet.optimize.graph.sound import ensure_sound
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx
    import openvino

__all__ = ["QuantizeWeights", "QuantizeWeightsIr", "WeightOptions"]

# Four-bit tensors and scales per block entered ONNX with this opset and version of the format.
_BLOCKS_OPSET, _BLOCKS_IR = 21, 10


@dataclass(frozen=True)
class WeightOptions:
    """The whole configuration of both passes.

    Attributes:
        bits: 8 or 4.
        symmetric: without zero points.
        group_size: values of one input channel block that share a scale; -1 is
            one scale per output channel. ``None``: -1 for 8 bits, 128 for 4.
        ratio: share of the weights that get 4 bits, the least sensitive ones;
            the others get 8.
        ignored: names of operators to leave in float.

    Raises:
        OptionError: a number out of its range.
    """

    bits: int = 8
    symmetric: bool = True
    group_size: int | None = None
    ratio: float = 1.0
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bits not in {4, 8}:
            raise OptionError(f"bits={self.bits} has no kernel.", "Give 8 or 4.")
        if not 0 < self.ratio <= 1:
            raise OptionError(f"ratio={self.ratio} is no share.", "Give a number above 0, up to 1.")
        if self.group_size is not None and (
            self.group_size == 0 or self.group_size < -1 or (self.bits == 8 and self.group_size > 0)
        ):
            raise OptionError(
                f"group_size={self.group_size} can't be had with {self.bits} bits.",
                "Give -1 with 8 bits; a positive size or -1 with 4.",
            )


@final
@dataclass(frozen=True)
class QuantizeWeights(WeightOptions, Pass[Artifact, Artifact]):
    """Quantise the weights of an ONNX graph; DequantizeLinear widens them at run time."""

    name: ClassVar[str] = "quantize-weights"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        need_onnx(model, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        graph = plain_gemms(named(read_onnx(model)))
        if self.bits == 4:
            graph = _with_blocks(graph)
        made, notes = _compressed(graph, self, layers.describe_onnx)
        mend(made, lambda: plain_gemms(named(read_onnx(model))))
        if self.bits == 4:
            notes += _still_eight(
                tuple(t.dims) for t in made.graph.initializer if t.data_type in {t.INT8, t.UINT8}
            )
        return PassResult(write_onnx(made, ctx.workdir, "model", model.signature), True, notes)

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        graph = read_onnx(model)
        _need_some(layers.describe_onnx(graph), self.name)
        if self.bits == 4:
            _need_four(
                (t.data_type in {t.INT4, t.UINT4} for t in graph.graph.initializer), self.name
            )
        ensure_sound(model, self.name)


@final
@dataclass(frozen=True)
class QuantizeWeightsIr(WeightOptions, Pass[Artifact, Artifact]):
    """Quantise the weights of an OpenVINO IR."""

    name: ClassVar[str] = "quantize-weights-ir"
    takes: ClassVar[Stage] = Stage.IR
    gives: ClassVar[Stage] = Stage.IR

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        need_ir(model, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        made, notes = _compressed(read_ir(model), self, layers.describe_ir)
        if self.bits == 4:
            notes += _still_eight(
                tuple(op.get_output_shape(0))
                for op in _constants(made)
                if op.get_element_type().get_type_name() in {"i8", "u8"}
            )
        return PassResult(write_ir(made, ctx.workdir, "model", model.signature), True, notes)

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        graph = check_ir(model, self.name)
        _need_some(layers.describe_ir(graph), self.name)
        if self.bits == 4:
            types = (op.get_element_type().get_type_name() for op in _constants(graph))
            _need_four((name in {"i4", "u4"} for name in types), self.name)


def _with_blocks(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in an opset that has four-bit tensors."""
    onnx = require("onnx", "quantise a graph")
    opset = next((e.version for e in graph.opset_import if e.domain in {"", "ai.onnx"}), 0)
    if opset < _BLOCKS_OPSET:
        try:
            graph = onnx.version_converter.convert_version(graph, _BLOCKS_OPSET)
        except Exception as error:  # the converter is C++ and raises RuntimeError and its own
            raise RequirementError(
                f"The graph has opset {opset}; weights of 4 bits need {_BLOCKS_OPSET}, and it can't"
                f" be converted: {first_line(error)}.",
                "Take 8 bits, or quantise the OpenVINO IR instead.",
            ) from error
    graph.ir_version = max(graph.ir_version, _BLOCKS_IR)
    return graph


def _constants(graph: openvino.Model) -> list[openvino.Node]:
    return [op for op in graph.get_ops() if op.get_type_name() == "Constant"]


def _need_four(found: Iterable[bool], step: str) -> None:
    if not any(found):
        raise PostconditionError(
            f"The pass '{step}' found no weights for 4 bits: NNCF gives them to matrix products"
            " alone, and to none of this network's.",
            "Take 8 bits, or another group size.",
        )


def _still_eight(shapes: Iterable[tuple[int, ...]]) -> tuple[Note, ...]:
    """A note on weights that got 8 bits where 4 were asked for, given all tensors of 8 bits."""
    # The others are one number a channel: zero points.
    count = sum(math.prod(shape[1:]) > 1 for shape in shapes)
    if not count:
        return ()
    what = "weight has" if count == 1 else "weights have"
    reason = (
        f"{count} {what} 8 bits: NNCF gives 4 to matrix products alone, and not to all of them."
    )
    return (Note("weights", reason),)


def _compressed(
    graph: Any, options: WeightOptions, describe: Callable[[Any], tuple[layers.Op, ...]]
) -> tuple[Any, tuple[Note, ...]]:
    ops = describe(graph)
    kept, lost = layers.kept_layers(ops, options.ignored, first=False, last=False)
    with quiet_nncf() as nncf:
        modes = nncf.CompressWeightsMode
        sign = "SYM" if options.symmetric else "ASYM"
        four: dict[str, Any] = {}
        if options.bits == 4:
            adjust = nncf.AdvancedCompressionParameters(
                group_size_fallback_mode=nncf.GroupSizeFallbackMode.ADJUST
            )
            four = {
                "ratio": options.ratio,
                "group_size": 128 if options.group_size is None else options.group_size,
                "all_layers": True,
                "advanced_parameters": adjust,
            }
        try:
            made = nncf.compress_weights(
                graph,
                mode=modes[f"INT{options.bits}_{sign}"],
                ignored_scope=nncf.IgnoredScope(names=list(kept)) if kept else None,
                **four,
            )
        # NNCF's own errors have no common root, and its back ends raise what they like.
        except Exception as error:
            raise PassError(
                f"NNCF can't compress these weights: {type(error).__name__}: {error}",
                "Take another group size, or 8 bits.",
            ) from error
    return made, (*lost, *layers.left_wide(ops, describe(made), kept, "NNCF"))


def _need_some(ops: tuple[layers.Op, ...], step: str) -> None:
    if not layers.quantised(ops) and not any(op.kind == "Gather" and op.constant for op in ops):
        raise PostconditionError(
            f"The pass '{step}' found no weights to quantise.", "Leave it out for this network."
        )

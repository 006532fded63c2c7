"""Static int8 by NNCF, on ONNX graphs and on OpenVINO IR.

The steps that NNCF takes, each of which can be chosen here because their best
choice differs from network to network: SmoothQuant moves outliers of
activations into weights (Xiao et al., 2022), ranges are estimated on the
calibration rows, quantisers are placed where the CPU's integer kernels can use
them, and bias correction takes the mean shift of each layer's output into its
bias (Nagel et al., 2019; what padding does to it is in `borders`).

Both passes calibrate on single rows and write integer weights: an ONNX graph
stores int8 initialisers with a DequantizeLinear behind them, an IR int8
constants.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, final

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PassError, PostconditionError, RequirementError
from whet.optimize.graph.io import need_onnx, read_onnx, write_onnx
from whet.optimize.graph.ir import check_ir, need_ir, read_ir, write_ir
from whet.optimize.graph.quantize import layers
from whet.optimize.graph.quantize._quiet import quiet_nncf
from whet.optimize.graph.quantize.borders import borders_cancelled
from whet.optimize.graph.quantize.calibration import Rows, need_rows
from whet.optimize.graph.quantize.gemm import plain_gemms
from whet.optimize.graph.quantize.mend import mend
from whet.optimize.graph.quantize.onnxes import named
from whet.optimize.graph.sound import ensure_sound

__all__ = ["Bias", "HalfRange", "NncfOptions", "Preset", "QuantizeNncf", "QuantizeNncfIr", "Ranges"]


class Preset(enum.StrEnum):
    """Symmetry of activations; weights are symmetric always."""

    PERFORMANCE = "performance"  # symmetric: zero point 0
    MIXED = "mixed"  # asymmetric: finer where an activation has one sign or a bias


class Bias(enum.StrEnum):
    """How the mean shift of each layer is taken into its bias."""

    NONE = "none"
    FAST = "fast"  # from the mean input of each layer alone
    FULL = "full"  # layer after layer with what comes before quantised; slow


class Ranges(enum.StrEnum):
    """How the range of an activation is taken from the calibration rows."""

    MEAN_MINMAX = "mean-minmax"  # mean over rows of each row's extremes: NNCF's default
    MINMAX = "minmax"  # extremes over all rows
    MEDIAN_MINMAX = "median-minmax"
    NO_OUTLIERS = "mean-no-outliers"  # as mean-minmax, without the rows that stand out
    PERCENTILE = "percentile"  # mean over rows of the 1e-4 and 1 - 1e-4 quantiles
    HISTOGRAM = "histogram"  # least squared error of quantisation over a histogram (MSE)


class HalfRange(enum.StrEnum):
    """Which weights use 7 bits, against overflow of 16-bit sums on CPUs without VNNI."""

    NONE = "none"
    FIRST = "first"
    ALL = "all"


@dataclass(frozen=True)
class NncfOptions:
    """The whole configuration of both passes.

    Attributes:
        subset_size: calibration rows.
        preset: symmetry of activations; ``None`` takes asymmetric for a
            transformer and symmetric for anything else.
        transformer: use the rules for attention; ``None`` looks at the graph.
        bias: bias correction.
        ranges: range estimator of the activations.
        smooth_quant_alpha: share of the outliers' weight that goes from the
            activations into the weights of matrix products (0-1); ``None`` is
            off. Needs the rules for attention; without them a note says that it was skipped.
        smooth_quant_conv_alpha: the same for convolutions. For recipes by hand; the search never
            proposes it. NNCF smooths by the rules for attention alone, so it moves nothing in a
            convolutional network, and in a transformer nothing but a patch embedding. That leaves
            hybrids of both, whose layers that hurt are found and restored one by one.
        per_channel: one scale per output channel of a weight.
        half_range: which weights use 7 bits.
        ignored: names of operators to leave in float.
        keep_first: leave the layers next to the inputs in float.
        keep_last: leave the layers next to the outputs in float.
        seed: of the choice of rows; ``None`` takes the context's.

    Raises:
        OptionError: a number out of its range.
    """

    subset_size: int = 300
    preset: Preset | None = None
    transformer: bool | None = None
    bias: Bias = Bias.FAST
    ranges: Ranges = Ranges.MEAN_MINMAX
    smooth_quant_alpha: float | None = None
    smooth_quant_conv_alpha: float | None = None
    per_channel: bool = True
    half_range: HalfRange = HalfRange.FIRST
    ignored: tuple[str, ...] = ()
    keep_first: bool = False
    keep_last: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.subset_size < 1:
            raise OptionError(
                f"subset_size={self.subset_size} gives nothing to calibrate on.", "Give 1 or more."
            )
        for field in ("smooth_quant_alpha", "smooth_quant_conv_alpha"):
            value = getattr(self, field)
            if value is not None and not 0 <= value <= 1:
                raise OptionError(f"{field}={value} is no share.", "Give a number from 0 to 1.")


@final
@dataclass(frozen=True)
class QuantizeNncf(NncfOptions, Pass[Artifact, Artifact]):
    """Quantise an ONNX graph: QuantizeLinear/DequantizeLinear pairs and int8 weights."""

    name: ClassVar[str] = "quantize-nncf"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    def requires(self, model: Artifact, ctx: Context) -> None:
        need_onnx(model, self.name)
        need_rows(model, ctx, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        graph = plain_gemms(named(read_onnx(model)))
        quantised, notes = quantised_onnx(graph, self, model, ctx)
        mend(quantised, lambda: plain_gemms(named(read_onnx(model))))
        return PassResult(write_onnx(quantised, ctx.workdir, "model", model.signature), True, notes)

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        graph = read_onnx(model)
        pairs = sum(node.op_type == "DequantizeLinear" for node in graph.graph.node)
        _need_some(pairs, self.name)
        weights = {tensor.name for tensor in graph.graph.initializer}
        unfolded = [
            node.name
            for node in graph.graph.node
            if node.op_type == "QuantizeLinear" and node.input[0] in weights
        ]
        if unfolded:
            raise PostconditionError(
                f"{len(unfolded)} weights are still stored as float32, first of them at"
                f" '{unfolded[0]}'.",
                "Leave this pass out for this network.",
            )
        ensure_sound(model, self.name)


@final
@dataclass(frozen=True)
class QuantizeNncfIr(NncfOptions, Pass[Artifact, Artifact]):
    """Quantise an OpenVINO IR: FakeQuantize on activations and int8 weights.

    Attributes:
        compress_to_fp16: store what stays float32 as float16.
    """

    name: ClassVar[str] = "quantize-nncf-ir"
    takes: ClassVar[Stage] = Stage.IR
    gives: ClassVar[Stage] = Stage.IR

    compress_to_fp16: bool = False

    def requires(self, model: Artifact, ctx: Context) -> None:
        need_ir(model, self.name)
        need_rows(model, ctx, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        quantised, notes = quantised_ir(read_ir(model), self, model, ctx)
        where, fp16 = ctx.workdir, self.compress_to_fp16
        return PassResult(
            write_ir(quantised, where, "model", model.signature, fp16=fp16), True, notes
        )

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        graph = check_ir(model, self.name)
        quantisers = sum(op.get_type_name() == "FakeQuantize" for op in graph.get_ops())
        _need_some(quantisers, self.name)


def _need_some(quantisers: int, step: str) -> None:
    if not quantisers:
        raise PostconditionError(
            f"The pass '{step}' found nothing to quantise in this graph.",
            "Leave it out, or ignore fewer layers.",
        )


def quantised_onnx(
    graph: Any, options: NncfOptions, model: Artifact, ctx: Context, *, fold: bool = True
) -> tuple[Any, tuple[Note, ...]]:
    """An ONNX proto quantised; ``fold=False`` leaves float weights in front of their quantisers."""
    if graph.opset_import[0].version < 13:
        raise RequirementError(
            f"The graph has opset {graph.opset_import[0].version}; scales per channel need 13.",
            "Export the network with opset 17 or newer.",
        )
    return _quantised(graph, options, model, ctx, layers.describe_onnx, fold=fold)


def quantised_ir(
    graph: Any, options: NncfOptions, model: Artifact, ctx: Context, *, fold: bool = True
) -> tuple[Any, tuple[Note, ...]]:
    """An OpenVINO model quantised; ``fold`` as in `quantised_onnx`."""
    return _quantised(graph, options, model, ctx, layers.describe_ir, fold=fold)


def _quantised(
    graph: Any,
    options: NncfOptions,
    model: Artifact,
    ctx: Context,
    describe: Callable[[Any], tuple[layers.Op, ...]],
    *,
    fold: bool,
) -> tuple[Any, tuple[Note, ...]]:
    ops = describe(graph)
    kept, lost = layers.kept_layers(
        ops, options.ignored, first=options.keep_first, last=options.keep_last
    )
    kept |= layers.lost_in_int8(ops)
    attention = layers.is_transformer(ops) if options.transformer is None else options.transformer
    feed = need_rows(model, ctx, "quantize-nncf")
    rows = Rows(feed, options.subset_size, ctx.seed if options.seed is None else options.seed)
    with quiet_nncf() as nncf, borders_cancelled():
        try:
            quantised = nncf.quantize(
                graph,
                nncf.Dataset(rows),
                preset=options.preset and nncf.QuantizationPreset(options.preset.value),
                subset_size=len(rows),
                fast_bias_correction=options.bias is not Bias.FULL,
                model_type=nncf.ModelType.TRANSFORMER if attention else None,
                ignored_scope=nncf.IgnoredScope(names=list(kept)) if kept else None,
                advanced_parameters=_advanced(nncf, options, fold=fold),
            )
        # NNCF's own errors have no common root, and its back ends raise what they like.
        except Exception as error:
            raise PassError(
                f"NNCF can't quantise this graph: {type(error).__name__}: {error}".strip(),
                "Take the pass 'quantize-ort' or 'quantize-dynamic', or leave layers out by 'ignored'.",
            ) from error
    wide = layers.left_wide(ops, describe(quantised), kept, "NNCF")
    return quantised, (*lost, *_unsmoothed(ops, options, attention=attention), *wide)


def _unsmoothed(
    ops: tuple[layers.Op, ...], options: NncfOptions, *, attention: bool
) -> tuple[Note, ...]:
    """One note for each share of SmoothQuant that was given and moves nothing in this graph."""
    given = (
        ("smooth_quant_alpha", options.smooth_quant_alpha, layers.PRODUCTS, "matrix product"),
        ("smooth_quant_conv_alpha", options.smooth_quant_conv_alpha, layers.CONVOLUTIONS, "convolution"),
    )  # fmt: skip
    kinds = {op.kind for op in ops if op.constant}
    notes: list[Note] = []
    for field, alpha, smoothed, words in given:
        if alpha is None:
            continue
        if not attention:
            why = "NNCF smooths by the rules for attention alone, which this graph isn't given"
            notes.append(Note(field, f"Skipped: {why} (see 'transformer')."))
        elif kinds.isdisjoint(smoothed):
            notes.append(Note(field, f"Skipped: the graph has no {words} with weights."))
    return tuple(notes)


def _advanced(nncf: ModuleType, options: NncfOptions, *, fold: bool) -> Any:
    estimators = nncf.quantization.range_estimator.RangeEstimatorParametersSet
    parameters = nncf.quantization.advanced_parameters
    ranges = {
        Ranges.MINMAX: estimators.MINMAX,
        Ranges.MEAN_MINMAX: None,
        Ranges.MEDIAN_MINMAX: estimators.MEDIAN_MINMAX,
        Ranges.NO_OUTLIERS: estimators.MEAN_NO_OUTLIERS_MINMAX,
        Ranges.PERCENTILE: estimators.MEAN_QUANTILE,
        Ranges.HISTOGRAM: estimators.HISTOGRAM,
    }[options.ranges]
    half = {
        HalfRange.NONE: parameters.OverflowFix.DISABLE,
        HalfRange.FIRST: parameters.OverflowFix.FIRST_LAYER,
        HalfRange.ALL: parameters.OverflowFix.ENABLE,
    }[options.half_range]
    chosen: dict[str, Any] = (
        {} if ranges is None else {"activations_range_estimator_params": ranges}
    )
    if not options.per_channel:
        one_scale = parameters.QuantizationParameters(per_channel=False)
        chosen["weights_quantization_params"] = one_scale
    return parameters.AdvancedQuantizationParameters(
        overflow_fix=half,
        disable_bias_correction=options.bias is Bias.NONE,
        smooth_quant_alphas=parameters.AdvancedSmoothQuantParameters(
            convolution=_off(options.smooth_quant_conv_alpha),
            matmul=_off(options.smooth_quant_alpha),
        ),
        # Both back ends call it so; it is on by default and folds weights into integers.
        backend_params={"compress_weights": fold},
        **chosen,
    )


def _off(alpha: float | None) -> float:
    """NNCF switches SmoothQuant off by a negative share."""
    return -1.0 if alpha is None else alpha

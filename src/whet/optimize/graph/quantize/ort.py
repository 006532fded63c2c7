"""Static int8 by ONNX Runtime's own quantiser.

It places QuantizeLinear/DequantizeLinear pairs by rules made for its own
kernels (outputs as well as inputs, int32 biases), so its graphs may be slower
or faster there than NNCF's, and other runtimes may refuse them.

Its percentile and entropy calibrators keep every activation of every row they
are shown (onnxruntime#21979: more than 200 GB). They do merge histograms from
call to call, so here they are shown a few rows per call: what is alive is the
activations of those rows, however many rows there are in all.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.core.spec import Arrays
from whet.errors import OptionError, PassError, PostconditionError
from whet.optimize.graph.io import need_onnx, read_onnx, write_onnx
from whet.optimize.graph.names import sort_nodes
from whet.optimize.graph.quantize import layers
from whet.optimize.graph.quantize._quiet import quiet_ort
from whet.optimize.graph.quantize.calibration import Rows, need_rows
from whet.optimize.graph.quantize.onnxes import prepared
from whet.optimize.graph.sound import ensure_sound

if TYPE_CHECKING:
    import onnx

__all__ = ["Activation", "Calibration", "QuantizeOrt"]

# Rows per call of a histogram calibrator. Its bins are as wide as the first call
# makes them, so the first call should see more than one row.
_CHUNK = 8


class Calibration(enum.StrEnum):
    """How the range of an activation is taken."""

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"  # least Kullback-Leibler divergence of the histogram


class Activation(enum.StrEnum):
    """Integer type of activations; weights are s8 always."""

    U8 = "u8"  # what x86 kernels multiply with s8 weights
    S8 = "s8"  # for ARM


@final
@dataclass(frozen=True)
class QuantizeOrt(Pass[Artifact, Artifact]):
    """Quantise an ONNX graph with ONNX Runtime's quantiser.

    Attributes:
        subset_size: calibration rows.
        calibration: range estimator.
        percentile: share of the values inside the range, for `Calibration.PERCENTILE`.
        activation: integer type of activations.
        symmetric: zero point of activations at the middle of the type.
        per_channel: one scale per output channel of a weight.
        reduce_range: weights of 7 bits, against overflow on CPUs without VNNI.
        op_types: kinds of operators to quantise; empty means all that it can.
        ignored: names of operators to leave in float.
        keep_first, keep_last: leave the layers next to the inputs or outputs in float.
        seed: of the choice of rows; ``None`` takes the context's.

    Raises:
        OptionError: a number out of its range.
    """

    name: ClassVar[str] = "quantize-ort"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    subset_size: int = 128
    calibration: Calibration = Calibration.MINMAX
    percentile: float = 99.99
    activation: Activation = Activation.U8
    symmetric: bool = False
    per_channel: bool = True
    reduce_range: bool = False
    op_types: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    keep_first: bool = False
    keep_last: bool = False
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.subset_size < 1:
            raise OptionError(
                f"subset_size={self.subset_size} gives nothing to calibrate on.", "Give 1 or more."
            )
        if not 50 < self.percentile <= 100:
            raise OptionError(
                f"percentile={self.percentile} cuts off too much.", "Give a number from 50 to 100."
            )

    def requires(self, model: Artifact, ctx: Context) -> None:
        need_onnx(model, self.name)
        need_rows(model, ctx, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        ready, notes = prepared(model, ctx.workdir)
        before = read_onnx(ready)
        ops = layers.describe_onnx(before)
        kept, lost = layers.kept_layers(
            ops, self.ignored, first=self.keep_first, last=self.keep_last
        )
        if self.per_channel:
            kept |= _without_bias_scale(before)
        rows = Rows(
            need_rows(model, ctx, self.name),
            self.subset_size,
            ctx.seed if self.seed is None else self.seed,
        )
        out = ctx.workdir / "model.onnx"
        self._quantise(ready, out, _Reader(rows), _stride(model, rows, self.calibration), kept)
        for file in ready.files():
            file.unlink()
        graph = read_onnx(out)
        sort_nodes(graph.graph)
        made = write_onnx(graph, ctx.workdir, "model", model.signature)
        wide = layers.left_wide(ops, layers.describe_onnx(graph), kept, "ONNX Runtime")
        return PassResult(made, True, (*notes, *lost, *wide))

    def _quantise(
        self, ready: Artifact, out: Path, reader: _Reader, stride: int, kept: dict[str, str]
    ) -> None:
        with quiet_ort() as library:
            types = {
                Activation.U8: library.QuantType.QUInt8,
                Activation.S8: library.QuantType.QInt8,
            }
            methods = {
                Calibration.MINMAX: library.CalibrationMethod.MinMax,
                Calibration.PERCENTILE: library.CalibrationMethod.Percentile,
                Calibration.ENTROPY: library.CalibrationMethod.Entropy,
            }
            extra: dict[str, Any] = {
                "ActivationSymmetric": self.symmetric,
                "WeightSymmetric": True,
                "CalibStridedMinMax": stride,
            }
            if self.calibration is Calibration.PERCENTILE:
                extra["CalibPercentile"] = self.percentile
            try:
                library.quantize_static(
                    ready.path,
                    str(out),
                    reader,
                    per_channel=self.per_channel,
                    reduce_range=self.reduce_range,
                    activation_type=types[self.activation],
                    weight_type=library.QuantType.QInt8,
                    op_types_to_quantize=list(self.op_types) or None,
                    nodes_to_exclude=list(kept),
                    calibrate_method=methods[self.calibration],
                    extra_options=extra,
                )
            # The quantiser raises whatever its parts raise: ValueError, KeyError, Fail ...
            except Exception as error:
                raise PassError(
                    f"ONNX Runtime can't quantise this graph: {type(error).__name__}: {error}",
                    "Take the pass 'quantize-nncf' or 'quantize-dynamic' instead.",
                ) from error

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        graph = read_onnx(model)
        if not any(node.op_type == "DequantizeLinear" for node in graph.graph.node):
            raise PostconditionError(
                f"The pass '{self.name}' found nothing to quantise in this graph.",
                "Leave it out, or ignore fewer layers.",
            )
        ensure_sound(model, self.name)


def _without_bias_scale(graph: onnx.ModelProto) -> dict[str, str]:
    """Transposed convolutions in groups with a bias, which have a scale a channel of one group.

    The bias has all channels of all groups, and the quantiser fails on giving it those scales.
    ONNX Runtime computes such layers in float anyway.
    """
    reason = "the scales of its groups don't fit its bias; one scale a weight would"
    return {
        node.name: reason
        for node in graph.graph.node
        if node.op_type == "ConvTranspose"
        and len(node.input) == 3
        and any(a.name == "group" and a.i > 1 for a in node.attribute)
    }


class _Reader:
    """Rows one at a time, in slices, as the quantiser's calibrators ask for them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._stream: Iterator[Arrays] = iter(rows)
        self._left = len(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def set_range(self, start_index: int, end_index: int) -> None:
        """The next slice; slices come in order, from the first row on."""
        if start_index == 0:
            self._stream = iter(self._rows)
        self._left = end_index - start_index

    def get_next(self) -> Arrays | None:
        if self._left <= 0:
            return None
        self._left -= 1
        return next(self._stream, None)

    def __iter__(self) -> Iterator[Arrays]:
        while (row := self.get_next()) is not None:
            yield row


def _stride(model: Artifact, rows: Rows, calibration: Calibration) -> int:
    """Rows per call: the largest divisor of their number up to the chunk.

    Histograms stack the rows of a call, so rows of unequal length come alone.
    """
    ragged = any(isinstance(d, str) for spec in model.signature.inputs for d in spec.shape[1:])
    if ragged and calibration is not Calibration.MINMAX:
        return 1
    return max(n for n in range(1, _CHUNK + 1) if len(rows) % n == 0)

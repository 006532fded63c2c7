"""Dynamic int8: weights quantised now, activations at run time; needs no samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PassError, PostconditionError
from whet.optimize.graph.io import need_onnx, read_onnx, write_onnx
from whet.optimize.graph.names import sort_nodes
from whet.optimize.graph.quantize import layers
from whet.optimize.graph.quantize._quiet import quiet_ort
from whet.optimize.graph.quantize.onnxes import prepared
from whet.optimize.graph.sound import ensure_sound

__all__ = ["QuantizeDynamic"]

_KINDS = frozenset({"MatMul", "Gemm", "Conv", "Gather", "Attention", "LSTM"})
_INTEGER = frozenset({"MatMulInteger", "ConvInteger", "DynamicQuantizeLSTM", "QAttention"})


@final
@dataclass(frozen=True)
class QuantizeDynamic(Pass[Artifact, Artifact]):
    """Quantise matrix products and LSTMs dynamically with ONNX Runtime's quantiser.

    The range of an activation is taken from the very row that is computed, so
    there is nothing to calibrate and outliers of other rows cost nothing; in
    exchange each product first has to look for its range.

    Attributes:
        op_types: kinds to quantise. ``Conv`` can be named too, but its dynamic
            kernel is slow; ``GRU`` and ``RNN`` have none.
        per_channel: one scale per output channel of a weight.
        reduce_range: weights of 7 bits, against overflow on CPUs without VNNI.
        ignored: names of operators to leave in float.
        keep_last: leave the layers next to the outputs in float.

    Raises:
        OptionError: a kind that has no dynamic form.
    """

    name: ClassVar[str] = "quantize-dynamic"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    op_types: tuple[str, ...] = ("MatMul", "Gemm", "LSTM")
    per_channel: bool = True
    reduce_range: bool = False
    ignored: tuple[str, ...] = ()
    keep_last: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.op_types) - _KINDS
        if unknown or not self.op_types:
            raise OptionError(
                f"op_types={list(self.op_types)} can't all be quantised dynamically.",
                f"Take some of {', '.join(sorted(_KINDS))}.",
            )

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        need_onnx(model, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        ready, notes = prepared(model, ctx.workdir)
        ops = layers.describe_onnx(read_onnx(ready))
        kept, lost = layers.kept_layers(ops, self.ignored, first=False, last=self.keep_last)
        out = ctx.workdir / "model.onnx"
        with quiet_ort() as library:
            try:
                library.quantize_dynamic(
                    ready.path,
                    str(out),
                    op_types_to_quantize=list(self.op_types),
                    per_channel=self.per_channel,
                    reduce_range=self.reduce_range,
                    weight_type=library.QuantType.QInt8,
                    nodes_to_exclude=list(kept),
                    # Products of two activations (attention) would each be quantised anew.
                    extra_options={"MatMulConstBOnly": True},
                )
            # The quantiser raises whatever its parts raise: ValueError, KeyError, Fail ...
            except Exception as error:
                raise PassError(
                    f"ONNX Runtime can't quantise this graph: {type(error).__name__}: {error}",
                    "Leave the operator out by 'ignored' or 'op_types'.",
                ) from error
        for file in ready.files():
            file.unlink()
        quantised = read_onnx(out)
        # The quantiser puts what widens a product behind a branch that reads it.
        sort_nodes(quantised.graph)
        made = write_onnx(quantised, ctx.workdir, "model", model.signature)
        return PassResult(made, True, (*notes, *lost))

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        graph = read_onnx(model)
        if not any(node.op_type in _INTEGER for node in graph.graph.node):
            raise PostconditionError(
                f"The pass '{self.name}' found no {' or '.join(self.op_types)} with weights.",
                "Quantise statically, or leave this pass out.",
            )
        ensure_sound(model, self.name)

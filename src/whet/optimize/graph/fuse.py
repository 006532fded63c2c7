"""Fusions that exporters leave to others.

For every runtime: an affine map a channel after a convolution or matrix goes
into its weights (`whet.optimize.graph.affine`). For ONNX Runtime alone:
attention, skip connections with normalisation and biased Gelu become its own
operators. Two rewriters know these patterns, onnxscript's those of today's
exporter and onnxruntime's those of older files; the one that finds more
attention is kept. Their result is kept only if it answers as before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, final

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.core.spec import Arrays
from whet.errors import EngineError, OptionError, WhetError
from whet.optimize.axes import SEQUENCE
from whet.optimize.graph.affine import fold_affine
from whet.optimize.graph.io import INLINE_LIMIT, need_onnx, read_onnx, signature_of, weight_bytes
from whet.optimize.graph.runs import largest_difference, run_proto, synthetic
from whet.optimize.graph.sound import ensure_sound, write_kept
from whet.optimize.quiet import quiet
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx

__all__ = ["Fuse"]

_CONTRIB = "com.microsoft"
_TOLERANCE = 1e-3


@final
@dataclass(frozen=True)
class Fuse(Pass[Artifact, Artifact]):
    """Fuse operators.

    Attributes:
        target: ``"any"`` keeps to standard ONNX operators; ``"onnxruntime"``
            also uses operators that only ONNX Runtime has.
    """

    target: Literal["any", "onnxruntime"] = "any"

    name: ClassVar[str] = "fuse"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    def __post_init__(self) -> None:
        if self.target not in {"any", "onnxruntime"}:
            raise OptionError(
                f"'{self.target}' is no target of the pass 'fuse'.", "Give 'any' or 'onnxruntime'."
            )

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # nothing but a graph
        need_onnx(model, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        proto = read_onnx(model)
        folded = fold_affine(proto)
        notes = [
            Note(self.name, f"{n} × {what} folded into the weights.")
            for what, n in sorted(folded.items())
        ]
        fused = None
        if self.target == "onnxruntime":
            fused, more = _fuse_attention(proto, ctx)
            notes += more
        if fused is None and not folded:
            return PassResult(model, False, tuple(notes))
        return PassResult(write_kept(fused or proto, model, ctx, self.name), True, tuple(notes))

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the file says it all
        ensure_sound(model, self.name)


def _fuse_attention(
    model: onnx.ModelProto, ctx: Context
) -> tuple[onnx.ModelProto | None, list[Note]]:
    """The fused copy, or nothing; and what was fused or why it wasn't."""
    step = Fuse.name
    operators = Counter(node.op_type for node in model.graph.node)
    if not operators["Softmax"] or not (operators["MatMul"] or operators["Gemm"]):
        return None, [Note(step, "There is no attention to fuse.")]
    if weight_bytes(model) > INLINE_LIMIT:
        return None, [Note(step, "The graph is above 2 GB; its attention isn't fused.")]
    notes: list[Note] = []
    best: onnx.ModelProto | None = None
    for rewrite in (_by_onnxscript, _by_onnxruntime):
        try:
            with quiet():
                found = rewrite(model)
        except WhetError:
            raise
        except Exception as error:  # noqa: BLE001  # they stumble over graphs they don't expect
            notes.append(
                Note(step, f"A rewriter ({rewrite.__name__[4:]}) gave up: {first_line(error)}.")
            )
            continue
        if _rank(found) > (_rank(best) if best is not None else (0, 0)):
            best = found
    if best is None:
        return None, [*notes, Note(step, "No known attention pattern was found.")]
    refusal = _differs(model, best, ctx)
    if refusal:
        return None, [*notes, Note(step, refusal)]
    counts = _contrib(best)
    said = ", ".join(f"{n} × {what}" for what, n in sorted(counts.items()))
    notes.append(Note(step, f"Fused for ONNX Runtime: {said}."))
    if not counts["Attention"] + counts["MultiHeadAttention"]:
        notes.append(Note(step, f"The attention itself stays as {operators['Softmax']} × Softmax."))
    return best, notes


def _contrib(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node if node.domain == _CONTRIB)


def _rank(model: onnx.ModelProto) -> tuple[int, int]:
    """More fused attention first, then more fused operators."""
    counts = _contrib(model)
    return counts["Attention"] + counts["MultiHeadAttention"], sum(counts.values())


def _by_onnxscript(model: onnx.ModelProto) -> onnx.ModelProto:
    ir = require("onnx_ir", "fuse operators")
    fusions = require("onnxscript.rewriter.ort_fusions", "fuse operators")
    held = ir.from_proto(model)
    fused, _ = fusions.optimize_for_ort(held)
    result: onnx.ModelProto = ir.to_proto(fused)
    del result.functions[:]
    _import_domain(result)
    return result


def _by_onnxruntime(model: onnx.ModelProto) -> onnx.ModelProto:
    onnx = require("onnx", "fuse operators")
    optimizer = require("onnxruntime.transformers.optimizer", "fuse operators")
    options = require("onnxruntime.transformers.fusion_options", "fuse operators")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    chosen = options.FusionOptions("bert")
    # This fusion changes the inputs to int32.
    chosen.enable_embed_layer_norm = False
    fused = optimizer.optimize_by_fusion(
        copy, model_type="bert", num_heads=0, hidden_size=0, optimization_options=chosen
    )
    result = fused.model
    _import_domain(result)
    return result


def _import_domain(model: onnx.ModelProto) -> None:
    onnx = require("onnx", "fuse operators")
    if _contrib(model) and all(entry.domain != _CONTRIB for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(_CONTRIB, 1))


def _differs(before: onnx.ModelProto, after: onnx.ModelProto, ctx: Context) -> str:
    """Why the fused graph can't be used, or nothing."""
    for arrays in _trials(before, ctx):
        try:
            difference = largest_difference(run_proto(before, arrays), run_proto(after, arrays))
        except EngineError as error:
            return f"The fused graph doesn't run, so it is left alone: {error.message[:200]}"
        if not difference <= _TOLERANCE:
            return f"The fused graph differs by {difference:.2g}, so it is left alone."
    return ""


def _trials(model: onnx.ModelProto, ctx: Context) -> list[Arrays]:
    signature = signature_of(model)
    names = {spec.name for spec in signature.inputs}
    real = list(ctx.repair.batches(3, 3)) if ctx.repair is not None else []
    made = synthetic(signature, {"batch": 1, SEQUENCE: 7}, ctx.seed)
    return [arrays for arrays in (*real, made) if set(arrays) == names]

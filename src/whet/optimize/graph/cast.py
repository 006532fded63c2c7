"""Half-size weights, and half-precision compute.

With ``compute=False`` the weights are stored in 16 bits and widened again
where they are used, so that the file halves and the arithmetic stays float32;
runtimes fold the widening when they load. With ``compute=True`` the graph
itself computes in float16. For bf16 arithmetic ask the runtime
(``Settings.precision``): that needs no change of the graph.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, RequirementError
from whet.optimize.graph.io import INLINE_LIMIT, need_onnx, read_onnx, weight_bytes, write_onnx
from whet.optimize.graph.names import fresh_name, sort_nodes, subgraphs
from whet.optimize.graph.sound import ensure_sound, write_kept
from whet.optimize.quiet import quiet

if TYPE_CHECKING:
    import onnx

__all__ = ["Cast"]

_MAX_FP16 = 65504.0


@final
@dataclass(frozen=True)
class Cast(Pass[Artifact, Artifact]):
    """Store weights, and optionally compute, in 16 bits.

    Attributes:
        weights: datatype of the stored weights. ``"bf16"`` is for recipes by hand and the search
            never proposes it: the file is as small as with ``"fp16"``, of whose 11 bits it keeps
            8, and weights beyond the range of fp16 stay float32 there anyway.
        compute: also compute in it (fp16 only).
        keep_io: inputs and outputs stay float32. Off is for recipes by hand and the search never
            proposes it: it changes what callers have to send, for two casts of a request saved.
        smallest: weights with fewer elements stay as they are.
    """

    weights: Literal["fp16", "bf16"] = "fp16"
    compute: bool = False
    keep_io: bool = True
    smallest: int = 256

    name: ClassVar[str] = "cast"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    def __post_init__(self) -> None:
        if self.weights not in {"fp16", "bf16"}:
            raise OptionError(
                f"Weights can't be cast to '{self.weights}'.", "Give 'fp16' or 'bf16'."
            )
        if self.compute and self.weights == "bf16":
            raise OptionError(
                "A graph can't compute in bf16 on every runtime.",
                "Set the runtime's precision to bf16 and leave the graph as it is.",
            )
        if not self.compute and not self.keep_io:
            raise OptionError(
                "Inputs and outputs only change where the graph computes in fp16.",
                "Set compute as well, or leave keep_io on.",
            )
        if self.smallest < 1:
            raise OptionError(f"smallest={self.smallest} is no size.", "Give 1 or more.")

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # nothing but a graph
        need_onnx(model, self.name)
        if (
            self.compute
            and not self.keep_io
            and any(s.dtype == "float16" for s in model.signature.inputs)
        ):
            raise RequirementError("The graph takes float16 already.", "Leave this pass out.")

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        proto = read_onnx(model)
        if self.compute:
            return self._compute(proto, model, ctx)
        halved, notes = _halve(proto, self.weights, self.smallest)
        if not halved:
            return PassResult(
                model, False, (*notes, Note(self.name, "No float32 weights are left."))
            )
        return PassResult(write_kept(proto, model, ctx, self.name), True, notes)

    def _compute(
        self, proto: onnx.ModelProto, model: Artifact, ctx: Context
    ) -> PassResult[Artifact]:
        float16 = require("onnxruntime.transformers.float16", "cast a graph")
        floats = [t for t in proto.graph.initializer if t.data_type == t.FLOAT]
        if not floats or weight_bytes(proto) > INLINE_LIMIT:
            reason = "The graph is above 2 GB." if floats else "No float32 weights are left."
            return PassResult(model, False, (Note(self.name, reason),))
        with quiet():
            cast = float16.convert_float_to_float16(
                proto, keep_io_types=self.keep_io, disable_shape_infer=False
            )
        # The converter puts its casts at the end.
        sort_nodes(cast.graph)
        if self.keep_io:
            return PassResult(write_kept(cast, model, ctx, self.name), True)
        return PassResult(write_onnx(cast, ctx.workdir, self.name), True)

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the file says it all
        ensure_sound(model, self.name)


def _halve(model: onnx.ModelProto, kind: str, smallest: int) -> tuple[int, tuple[Note, ...]]:
    """Halve the weights of the main graph in place; how many, and which were left."""
    onnx = require("onnx", "cast a graph")
    graph = model.graph
    outputs = {value.name for value in graph.output}
    uses = Counter(name for part in subgraphs(graph) for node in part.node for name in node.input)
    notes, nodes = [], []
    for tensor in list(graph.initializer):
        if (
            tensor.data_type != onnx.TensorProto.FLOAT
            or tensor.name in outputs
            or not uses[tensor.name]
        ):
            continue
        if np.prod(tensor.dims, dtype=np.int64) < smallest:
            continue
        values = np.asarray(onnx.numpy_helper.to_array(tensor), dtype=np.float32)
        if kind == "fp16" and float(np.abs(values).max()) > _MAX_FP16:
            notes.append(Note(tensor.name, "Its values are too large for fp16; it stays float32."))
            continue
        target = onnx.TensorProto.FLOAT16 if kind == "fp16" else onnx.TensorProto.BFLOAT16
        stored = values.astype(onnx.helper.tensor_dtype_to_np_dtype(target))
        name = fresh_name(graph, f"{tensor.name}_{kind}")
        nodes.append(
            onnx.helper.make_node(
                "Cast", [name], [tensor.name], name=f"{name}_widen", to=onnx.TensorProto.FLOAT
            )
        )
        graph.initializer.append(onnx.numpy_helper.from_array(stored, name))
        graph.initializer.remove(tensor)
    for number, node in enumerate(nodes):
        graph.node.insert(number, node)
    return len(nodes), tuple(notes)

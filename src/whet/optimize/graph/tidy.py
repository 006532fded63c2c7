"""Constant folding, dead code, shape clean-up; the answers stay the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.optimize.graph.io import INLINE_LIMIT, need_onnx, read_onnx, weight_bytes
from whet.optimize.graph.names import subgraphs
from whet.optimize.graph.sound import ensure_sound, write_kept
from whet.optimize.quiet import quiet
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx

__all__ = ["Tidy"]


@final
@dataclass(frozen=True)
class Tidy(Pass[Artifact, Artifact]):
    """Fold constants, drop dead nodes and unused weights, simplify shape arithmetic.

    The work is onnxslim's. Graphs of today's exporters often need none of it,
    and then come back unchanged; older files shrink by a fifth and more.
    """

    name: ClassVar[str] = "tidy"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # nothing but a graph
        need_onnx(model, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        onnxslim = require("onnxslim", "tidy a graph")
        before = read_onnx(model)
        if weight_bytes(before) > INLINE_LIMIT:
            return PassResult(model, False, (Note(self.name, "The graph is above 2 GB."),))
        outline = _outline(before)
        try:
            with quiet():
                after: onnx.ModelProto = onnxslim.slim(before)
        except Exception as error:  # noqa: BLE001  # a cleaner that stumbles costs only its gain
            gave_up = f"The cleaner gave up: {first_line(error)}."
            return PassResult(model, False, (Note(self.name, gave_up),))
        _drop_unused(after)
        if _outline(after) == outline:
            return PassResult(model, False)
        gone = sum(outline[0].values()) - sum(_outline(after)[0].values())
        notes = (Note(self.name, f"{gone} of {sum(outline[0].values())} nodes were not needed."),)
        return PassResult(write_kept(after, model, ctx, self.name), True, notes)

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the file says it all
        ensure_sound(model, self.name)


def _outline(model: onnx.ModelProto) -> tuple[Counter[str], int, int]:
    """Operators, number of weights and their size: equal where nothing of weight changed."""
    operators = Counter(node.op_type for graph in subgraphs(model.graph) for node in graph.node)
    return operators, len(model.graph.initializer), weight_bytes(model)


def _drop_unused(model: onnx.ModelProto) -> None:
    used = {value.name for value in model.graph.output}
    for graph in subgraphs(model.graph):
        for node in graph.node:
            used.update(node.input)
    for tensor in [t for t in model.graph.initializer if t.name not in used]:
        model.graph.initializer.remove(tensor)

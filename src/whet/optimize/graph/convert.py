"""ONNX to OpenVINO's own format (IR)."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, final

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import RequirementError
from whet.optimize.graph.io import need_onnx
from whet.optimize.graph.ir import check_ir, write_ir

__all__ = ["ConvertIr"]


@final
@dataclass(frozen=True)
class ConvertIr(Pass[Artifact, Artifact]):
    """Turn an ONNX graph into an OpenVINO IR with the same signature.

    Attributes:
        compress_to_fp16: store float32 weights as float16; computing is not
            changed by it, but each weight is rounded once.
    """

    name: ClassVar[str] = "convert-ir"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.IR

    compress_to_fp16: bool = False

    def requires(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        need_onnx(model, self.name)

    def apply(self, model: Artifact, ctx: Context) -> PassResult[Artifact]:
        openvino = require("openvino", "convert a graph for OpenVINO")
        try:
            with warnings.catch_warnings(), _root_log_kept():
                # The converter warns about deprecated parts of itself.
                warnings.simplefilter("ignore", DeprecationWarning)
                graph = openvino.convert_model(model.path)
        # The front end's failures (OpConversionFailure and others) share no root but this.
        except Exception as error:
            raise RequirementError(
                f"OpenVINO can't convert this graph: {_cause(error)}",
                "Run it with onnxruntime, which knows every ONNX operator.",
            ) from error
        where = ctx.workdir
        return PassResult(
            write_ir(graph, where, "model", model.signature, fp16=self.compress_to_fp16), True
        )

    def ensures(self, model: Artifact, ctx: Context) -> None:  # noqa: ARG002  # the verb's shape
        check_ir(model, self.name)


@contextlib.contextmanager
def _root_log_kept() -> Iterator[None]:
    """Where the converter fails, it sets the root logger to errors only and leaves it so."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters[:], root.handlers[:] = filters, handlers


def _cause(error: Exception) -> str:
    """The line that names the operators, if there is one: it stands at the end of a long list."""
    lines = [line.strip(" -\t") for line in str(error).splitlines() if line.strip()]
    named = (line for line in reversed(lines) if line.startswith("No conversion rule"))
    return next(named, lines[-1] if lines else type(error).__name__)

"""What every pass over ONNX graphs does at its end: write the file and check it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.spec import Signature
from whet.errors import PostconditionError
from whet.optimize.graph.io import read_onnx, signature_of, write_onnx
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx

__all__ = ["ensure_sound", "write_kept"]


def write_kept(model: onnx.ModelProto, before: Artifact, ctx: Context, step: str) -> Artifact:
    """Write a graph whose signature must be that of ``before``.

    Raises:
        PostconditionError: names, dtypes or ranks of inputs or outputs were lost.
        StorageError: the folder can't be written.
    """
    after = signature_of(model)
    if _outline(after) != _outline(before.signature):
        raise PostconditionError(
            f"The pass '{step}' changed the signature to {_said(after)}.",
            "Leave this pass out for this network.",
        )
    return write_onnx(model, ctx.workdir, step, before.signature)


def ensure_sound(model: Artifact, step: str) -> None:
    """Check that the files of a pass's result are a valid graph with the stated signature.

    Raises:
        PostconditionError: they aren't.
    """
    onnx = require("onnx", "check a graph")
    try:
        onnx.checker.check_model(model.path)
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        raise PostconditionError(
            f"The pass '{step}' wrote an invalid graph: {first_line(error)}.",
            "Leave this pass out for this network.",
        ) from error
    found = signature_of(read_onnx(model))
    if _outline(found) != _outline(model.signature):
        raise PostconditionError(
            f"The pass '{step}' wrote a graph with {_said(found)}.",
            "Leave this pass out for this network.",
        )


def _outline(signature: Signature) -> tuple[tuple[str, str, int], ...]:
    # Sizes may become better known, so only names, dtypes and ranks are compared.
    return tuple(
        (spec.name, spec.dtype, len(spec.shape)) for spec in (*signature.inputs, *signature.outputs)
    )


def _said(signature: Signature) -> str:
    return f"{'; '.join(map(str, signature.inputs))} -> {'; '.join(map(str, signature.outputs))}"

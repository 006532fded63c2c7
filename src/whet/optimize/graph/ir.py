"""OpenVINO artifacts in memory and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.spec import Signature
from whet.errors import NetworkError, PostconditionError, RequirementError, StorageError
from whet.optimize.said import last_line

if TYPE_CHECKING:
    import openvino

__all__ = ["check_ir", "need_ir", "read_ir", "write_ir"]


def need_ir(model: Artifact, step: str) -> None:
    """Refuse an artifact that is no OpenVINO IR or whose files are gone.

    Raises:
        RequirementError: another format, or a missing file.
    """
    if model.format is not Format.OPENVINO:
        raise RequirementError(
            f"The pass '{step}' takes {Format.OPENVINO.value} files,"
            f" but was given {model.format.value}.",
            "Put the pass 'convert-ir' before it.",
        )
    for file in model.files():
        if not file.is_file():
            raise RequirementError(
                f"The file '{file}' of the graph is missing.", "Build the graph again."
            )


def read_ir(graph: Artifact) -> openvino.Model:
    """The OpenVINO model of an IR.

    Raises:
        NetworkError: OpenVINO can't read it.
    """
    openvino = require("openvino", "read an OpenVINO graph")
    try:
        core = openvino.Core()
        # A mapped file would have to stay unchanged as long as the model lives.
        core.set_property({"ENABLE_MMAP": False})
        return core.read_model(graph.path)
    except RuntimeError as error:
        raise NetworkError(
            f"OpenVINO can't read '{graph.path}': {last_line(error)}.", "Build the graph again."
        ) from error


def write_ir(
    model: openvino.Model, folder: Path, stem: str, signature: Signature, *, fp16: bool = False
) -> Artifact:
    """Write ``stem.xml`` and ``stem.bin``.

    With ``fp16`` the float32 weights are stored at half size; they are widened when loaded.

    Raises:
        StorageError: the folder can't be written.
    """
    openvino = require("openvino", "write an OpenVINO graph")
    path = folder / f"{stem}.xml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        openvino.save_model(model, str(path), compress_to_fp16=fp16)
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"'{path}' can't be written: {last_line(error)}.",
            "Free some space or name another folder.",
        ) from error
    return Artifact(str(path), Format.OPENVINO, signature, (f"{stem}.bin",))


def check_ir(model: Artifact, step: str) -> openvino.Model:
    """Read an IR that was written and check that it has the names of its signature.

    Raises:
        PostconditionError: a name was lost.
    """
    graph = read_ir(model)
    have = {name for port in (*graph.inputs, *graph.outputs) for name in port.get_names()}
    want = {spec.name for spec in (*model.signature.inputs, *model.signature.outputs)}
    if want - have:
        raise PostconditionError(
            f"The pass '{step}' lost the names {', '.join(sorted(want - have))}.",
            "Leave this pass out for this network.",
        )
    return graph

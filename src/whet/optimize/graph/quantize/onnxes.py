"""Small edits of ONNX protos that several quantisers need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.note import Note
from whet.errors import PassError
from whet.optimize.graph.io import read_onnx, write_onnx
from whet.optimize.graph.quantize._quiet import quiet_ort
from whet.optimize.graph.quantize.gemm import plain_gemms
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx

__all__ = ["named", "prepared"]


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give every node without a name, or with one that is taken, a name of its own; in place.

    Quantisers address nodes by name; the ONNX format makes names optional. The
    new name depends on the graph alone, so that a recipe may use it.
    """
    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        name = node.name or f"{node.op_type}_{index}"
        while name in taken:
            name = f"{name}_{index}"
        node.name = name
        taken.add(name)
    return model


def prepared(model: Artifact, folder: Path) -> tuple[Artifact, tuple[Note, ...]]:
    """What ONNX Runtime's quantiser wants before it starts: names, plain products, shapes, no dead code.

    Shape inference by symbols is given up where it fails (it doesn't know every
    operator); the quantiser then leaves alone what it has no shape for.

    Returns:
        A file in ``folder`` that the caller removes, and a note where inference failed.
    """
    source = write_onnx(plain_gemms(named(read_onnx(model))), folder, "named", model.signature)
    ready = Artifact(str(folder / "prepared.onnx"), Format.ONNX, model.signature)
    notes: tuple[Note, ...] = ()
    with quiet_ort():
        shapes = require("onnxruntime.quantization.shape_inference", "quantise a graph")
        try:
            shapes.quant_pre_process(source.path, ready.path)
        except Exception as error:  # noqa: BLE001  # fails in as many ways as there are operators
            notes = (Note("shapes", f"Symbolic shape inference failed: {first_line(error)}."),)
            _prepare_plainly(source, ready)
    for file in source.files():
        file.unlink()
    return ready, notes


def _prepare_plainly(source: Artifact, ready: Artifact) -> None:
    shapes = require("onnxruntime.quantization.shape_inference", "quantise a graph")
    try:
        shapes.quant_pre_process(source.path, ready.path, skip_symbolic_shape=True)
    # What comes out here is ONNX Runtime's refusal of the graph itself.
    except Exception as error:
        raise PassError(
            f"ONNX Runtime can't prepare this graph: {first_line(error)}.",
            "Take the pass 'quantize-nncf' instead.",
        ) from error

"""ONNX artifacts in memory and back.

A protobuf message ends at 2 GiB, so larger graphs keep their weights in one
file beside them. Files are written under another name and renamed, so that a
run that is cut off leaves no half a graph behind.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.spec import Dim, Signature, TensorSpec
from whet.errors import NetworkError, RequirementError, StorageError
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx

__all__ = [
    "INLINE_LIMIT",
    "inlined",
    "need_onnx",
    "read_onnx",
    "signature_of",
    "weight_bytes",
    "write_onnx",
]

# Leaves room below protobuf's 2 GiB for everything that isn't a weight.
INLINE_LIMIT = 1_900_000_000
_FEW_ELEMENTS = 64  # more than a shape, axes or pads have


def need_onnx(model: Artifact, step: str) -> None:
    """Refuse an artifact that is no ONNX graph or whose files are gone.

    Raises:
        RequirementError: another format, or a missing file.
    """
    if model.format is not Format.ONNX:
        raise RequirementError(
            f"The pass '{step}' takes onnx files, but was given {model.format.value}.",
            "Put it before the pass that changes the format.",
        )
    for file in model.files():
        if not file.is_file():
            raise RequirementError(
                f"The file '{file}' of the graph is missing.", "Build the graph again."
            )


def read_onnx(graph: Artifact | Path) -> onnx.ModelProto:
    """The proto with its weights loaded.

    Raises:
        NetworkError: no readable ONNX file.
    """
    onnx = require("onnx", "read a graph")
    message = require("google.protobuf.message", "read a graph")
    path = graph.file if isinstance(graph, Artifact) else graph
    try:
        return onnx.load(str(path))
    except (OSError, ValueError, message.DecodeError, onnx.checker.ValidationError) as error:
        raise NetworkError(
            f"'{path}' can't be read as ONNX: {first_line(error)}.",
            "Check that the file is complete, or export the network again.",
        ) from error


def write_onnx(
    model: onnx.ModelProto, folder: Path, stem: str, signature: Signature | None = None
) -> Artifact:
    """Write ``stem.onnx`` into ``folder``; above 2 GB with ``stem.onnx.data`` beside it.

    Args:
        model: with its weights in memory.
        folder: made where it is missing.
        stem: of the file's name.
        signature: of the graph; read from the proto when left out.

    Raises:
        StorageError: the folder can't be written.
    """
    onnx = require("onnx", "write a graph")
    path = folder / f"{stem}.onnx"
    part = folder / f".{stem}.onnx.part"
    sidecars: tuple[str, ...] = ()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if weight_bytes(model) < INLINE_LIMIT:
            # Tensors that were read from a data file keep their mark otherwise.
            onnx.external_data_helper.convert_model_from_external_data(model)
            onnx.save(model, str(part))
        else:
            sidecars = (f"{stem}.onnx.data",)
            # The helper appends to a file that exists already.
            (folder / sidecars[0]).unlink(missing_ok=True)
            onnx.save(model, str(part), save_as_external_data=True, location=sidecars[0])
            # Saving moved the weights out of the caller's model; give them back.
            onnx.external_data_helper.load_external_data_for_model(model, str(folder))
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise StorageError(
            f"'{path}' can't be written: {os.strerror(error.errno or 0)}.",
            "Free some space or name another folder.",
        ) from error
    return Artifact(str(path), Format.ONNX, signature or signature_of(model), sidecars)


def inlined(graph: Artifact, folder: Path) -> Artifact:
    """A graph that can be opened, whatever lies in its data files.

    ONNX Runtime infers shapes before it reads data files, and fails where a small tensor that
    shapes depend on lies in one. Such a graph is copied with its small tensors inside.

    Args:
        graph: an ONNX file.
        folder: for the copy.

    Returns:
        The copy, or the graph where it needs none.

    Raises:
        NetworkError: it can't be read.
        StorageError: the folder can't be written.
    """
    if not graph.sidecars:
        return graph
    onnx = require("onnx", "read a graph")
    bare = onnx.load(str(graph.file), load_external_data=False)
    small = any(
        tensor.data_location == onnx.TensorProto.EXTERNAL and _elements(tensor) <= _FEW_ELEMENTS
        for tensor in bare.graph.initializer
    )
    return write_onnx(read_onnx(graph), folder, "inlined", graph.signature) if small else graph


def _elements(tensor: onnx.TensorProto) -> int:
    return math.prod(tensor.dims)


def weight_bytes(model: onnx.ModelProto) -> int:
    """Bytes of all weights of the main graph."""
    return sum(len(tensor.raw_data) or tensor.ByteSize() for tensor in model.graph.initializer)


def signature_of(model: onnx.ModelProto) -> Signature:
    """Names, dtypes and shapes that the graph states, without its weights.

    Raises:
        NetworkError: an input or output is no tensor, or its datatype has no array form.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    return Signature(
        tuple(_spec(value) for value in model.graph.input if value.name not in weights),
        tuple(_spec(value) for value in model.graph.output),
    )


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    onnx = require("onnx", "read a graph")
    if value.type.WhichOneof("value") != "tensor_type":
        raise NetworkError(
            f"'{value.name}' is no plain tensor.",
            "Export the network with tensors (no sequences, maps or optionals) in and out.",
        )
    tensor = value.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError as error:
        raise NetworkError(
            f"'{value.name}' has no known datatype.", "Export the network again."
        ) from error
    return TensorSpec(value.name, dtype, tuple(_dims(value.name, tensor.shape)))


def _dims(name: str, shape: onnx.TensorShapeProto) -> list[Dim]:
    dims: list[Dim] = []
    for axis, dim in enumerate(shape.dim):
        if dim.WhichOneof("value") == "dim_value":
            dims.append(dim.dim_value)
        else:
            dims.append(dim.dim_param or f"{name}_{axis}")
    return dims

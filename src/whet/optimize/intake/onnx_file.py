"""An ``.onnx`` file, with its external data.

The names of data files come from the model and are not to be trusted: each
must be a plain file inside the model's own folder, and what the model wants
of it must lie inside that file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.errors import NetworkError
from whet.optimize.axes import canonical_specs
from whet.optimize.graph.io import read_onnx, signature_of
from whet.optimize.graph.names import sort_nodes, subgraphs
from whet.optimize.intake.network import Kind, Network
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx

__all__ = ["load_onnx"]

_MAX_PROTO = 1 << 31  # protobuf's own limit for one message
_REMEDY = "Check that the file is complete, or export the network again."


def load_onnx(path: Path) -> Network:
    """Check an ONNX file and its data files; nothing is loaded for good.

    Raises:
        NetworkError: damaged, invalid, too new, or with data outside its folder.
    """
    onnx = require("onnx", "read an ONNX file")
    model = _proto(path)
    sidecars = _data_files(model, path)
    try:
        onnx.checker.check_model(str(path) if sidecars else model)
    except (onnx.checker.ValidationError, ValueError, OSError) as error:
        if not _is_valid_sorted(path):
            raise NetworkError(
                f"'{path.name}' is no valid ONNX model: {first_line(error)}.", _REMEDY
            ) from error
    signature = signature_of(model)
    if not signature.inputs or not signature.outputs:
        raise NetworkError(
            f"'{path.name}' has no {'inputs' if not signature.inputs else 'outputs'}.",
            "Give a network that takes samples and gives answers.",
        )
    graph = Artifact(str(path.resolve()), Format.ONNX, signature, sidecars)
    return Network(path.stem, Kind.ONNX, graph=graph, inputs=canonical_specs(signature.inputs))


def _is_valid_sorted(path: Path) -> bool:
    """Whether nothing but the order of the nodes is wrong; runtimes sort them by themselves."""
    onnx = require("onnx", "read an ONNX file")
    model = read_onnx(path)
    for graph in subgraphs(model.graph):
        sort_nodes(graph)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError):  # of the order too, where it is above 2 GB
        return False
    return True


def _proto(path: Path) -> onnx.ModelProto:
    onnx = require("onnx", "read an ONNX file")
    message = require("google.protobuf.message", "read an ONNX file")
    try:
        size = path.stat().st_size
        if not 0 < size < _MAX_PROTO:
            raise NetworkError(
                f"'{path.name}' holds {size:,} bytes, which is no ONNX file.",
                "Export networks above 2 GB with external data." if size else _REMEDY,
            )
        model = onnx.load(str(path), load_external_data=False)
    except (OSError, ValueError, message.DecodeError) as error:
        raise NetworkError(
            f"'{path.name}' can't be read as ONNX: it is damaged or cut off.", _REMEDY
        ) from error
    return model


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in subgraphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
        yield from _attribute_tensors(graph.node)
    for function in model.functions:
        yield from _attribute_tensors(function.node)


def _attribute_tensors(nodes: object) -> Iterator[onnx.TensorProto]:
    for node in nodes:  # type: ignore[attr-defined]  # protobuf's container has no public type
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _data_files(model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    """Names of the data files, relative to the model's folder, each checked."""
    onnx = require("onnx", "read an ONNX file")
    folder = path.resolve().parent
    names: dict[str, int] = {}
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        facts = {entry.key: entry.value for entry in tensor.external_data}
        name = facts.get("location", "")
        if name not in names:
            names[name] = _checked_size(name, folder, path.name)
        _need_inside(tensor.name, facts, names[name], name)
    return tuple(names)


def _checked_size(name: str, folder: Path, model: str) -> int:
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    plain = bool(name) and not PurePosixPath(name).is_absolute() and ".." not in parts
    file = folder / name
    if not plain or PureWindowsPath(name).drive or not file.resolve().is_relative_to(folder):
        raise NetworkError(
            f"'{model}' wants its weights from '{name}', which is outside its own folder.",
            "Don't trust this file; have it saved again with its data beside it.",
        )
    if not file.is_file():
        raise NetworkError(
            f"The data file '{name}' of '{model}' is missing.", "Put it beside the .onnx file."
        )
    return file.stat().st_size


def _need_inside(tensor: str, facts: dict[str, str], size: int, name: str) -> None:
    try:
        offset, length = int(facts.get("offset", "0")), int(facts.get("length", "0"))
    except ValueError as error:
        raise NetworkError(f"The weight '{tensor}' has a damaged address.", _REMEDY) from error
    if offset < 0 or length < 0 or offset + length > size:
        raise NetworkError(f"The data file '{name}' is cut off: it lacks '{tensor}'.", _REMEDY)

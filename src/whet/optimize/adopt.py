"""An ONNX file brought into the form that the passes expect.

One symbol ``batch`` for the leading axis, shapes inferred, an opset that the
quantisers know (13 or later), nodes in the order of execution, no weights among
the inputs. What the graph computes stays the same, and that is checked by
running both. A graph that computes in float16 computes in float32 from here on
(`whet.optimize.graph.widen`), as a live module does.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.fit import misfit
from whet.core.note import Note
from whet.core.spec import Arrays, Dim, Signature, TensorSpec
from whet.errors import (
    EngineError,
    ExportError,
    NetworkError,
    SamplesError,
    UnsupportedOperatorError,
)
from whet.optimize.axes import BATCH, canonical_symbols, resized
from whet.optimize.binding import match_names
from whet.optimize.graph.io import inlined, read_onnx, signature_of, write_onnx
from whet.optimize.graph.names import (
    drop_outputs,
    rename_symbols,
    rename_values,
    sort_nodes,
    subgraphs,
)
from whet.optimize.graph.runs import largest_difference, run_graph
from whet.optimize.graph.widen import computes_in_half, widen
from whet.optimize.intake.network import Network
from whet.optimize.rows import dropped_notes, rowless
from whet.optimize.said import first_line

if TYPE_CHECKING:
    import onnx

__all__ = ["adopt"]

_OLDEST_OPSET = 13  # per-channel quantisation begins here
_NEW_OPSET = 17
_TOLERANCE = 1e-3
# Float16 has 11 bits, and each of the original's operators rounds to them.
_HALF_TOLERANCE = 3e-2


def adopt(
    network: Network,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    folder: Path,
    ignore: Collection[str] = (),
) -> tuple[Artifact, tuple[Note, ...], tuple[str, ...]]:
    """Write the normalised copy and check it on the example.

    Args:
        network: read from an ONNX file.
        inputs: what the samples hold.
        example: one batch of them.
        folder: to write into.
        ignore: see `whet.optimize.export.export`.

    Returns:
        The graph, what to know about it, and the outputs that were left out.

    Raises:
        SamplesError: the samples don't fit the graph.
        NetworkError: other names, or no graph.
        ExportError: the graph can't be converted or run.
    """
    if network.graph is None:
        raise NetworkError(f"'{network.name}' holds no graph.", "Load it from an ONNX file.")
    notes: list[Note] = []
    model = read_onnx(network.graph)
    before = signature_of(model)
    ordered = match_names(tuple(spec.name for spec in before.inputs), inputs)
    renamed = {
        old.name: new.name
        for old, new in zip(before.inputs, ordered, strict=True)
        if old.name != new.name
    }
    for part in subgraphs(model.graph):
        sort_nodes(part)
    model = _modern(network.name, model, notes)
    _drop_weight_inputs(model)
    _name_axes(
        model,
        [
            TensorSpec(old.name, new.dtype, new.shape)
            for old, new in zip(before.inputs, ordered, strict=True)
        ],
    )
    rename_values(model.graph, renamed)
    notes += [
        Note("export", f"The input '{a}' is called '{b}' here, as in the samples.")
        for a, b in renamed.items()
    ]
    model = _with_shapes(model)
    _need_fit(signature_of(model), ordered)
    graph = write_onnx(model, folder, "network")
    back = {new: old for old, new in renamed.items()}
    arrays = resized(ordered, example, _small(graph.signature))
    _compare(network, graph, arrays, back, folder)
    if computes_in_half(model):
        model, graph, note = _widened(model, graph, arrays, folder)
        notes.append(note)
    dropped = tuple(name for name in rowless(graph, example) if name in ignore) if ignore else ()
    if dropped:
        drop_outputs(model.graph, dropped)
        graph = write_onnx(model, folder, "network")
        notes += dropped_notes(dropped)
    if graph.signature.batch_symbol is None:
        return *_freed(model, graph, example, folder, notes), dropped
    return graph, tuple(notes), dropped


def _modern(name: str, model: onnx.ModelProto, notes: list[Note]) -> onnx.ModelProto:
    onnx = require("onnx", "read a graph")
    opset = next((e.version for e in model.opset_import if e.domain in {"", "ai.onnx"}), 0)
    if 0 < opset < _OLDEST_OPSET:
        try:
            model = onnx.version_converter.convert_version(model, _NEW_OPSET)
        except Exception as error:  # the converter is C++ and raises RuntimeError and its own
            raise ExportError(
                f"'{name}' is of opset {opset} and can't be converted to {_NEW_OPSET}.",
                f"Export it again with opset {_NEW_OPSET} or later.",
            ) from error
        notes.append(Note("export", f"Converted from opset {opset} to {_NEW_OPSET}."))
    # 8 is the first version that the quantisers write; runtimes of the day end at 10 to 13.
    model.ir_version = max(model.ir_version, 8)
    return model


def _drop_weight_inputs(model: onnx.ModelProto) -> None:
    """Old files list weights among the inputs, which keeps runtimes from folding them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in [value for value in model.graph.input if value.name in weights]:
        model.graph.input.remove(value)


def _name_axes(model: onnx.ModelProto, samples: list[TensorSpec]) -> None:
    signature = signature_of(model)
    specs = {spec.name: spec for spec in (*signature.inputs, *signature.outputs)}
    for value in (*model.graph.input, *model.graph.output):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            symbol = specs[value.name].shape[axis]
            if isinstance(symbol, str):
                dim.dim_param = symbol
    names = canonical_symbols(signature.inputs, samples)
    rename_symbols(model.graph, names)
    if BATCH in names.values():
        # A leading axis of an output that has no size is the batch as well.
        first = [spec.shape[0] for spec in signature_of(model).outputs if spec.shape]
        known = set(names.values())
        rename_symbols(
            model.graph, {s: BATCH for s in first if isinstance(s, str) and s not in known}
        )


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    onnx = require("onnx", "read a graph")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError):
        # Shapes help later passes but aren't needed to run: models above 2 GB can't be inferred in memory.
        return model
    return inferred


def _need_fit(signature: Signature, inputs: tuple[TensorSpec, ...]) -> None:
    for want, have in zip(signature.inputs, inputs, strict=True):
        found = misfit(have, want)
        if found is not None:
            raise SamplesError(found.message, found.remedy)


def _small(signature: Signature) -> dict[str, int]:
    """Sizes for the check: two rows where the batch is free, else what the graph fixes."""
    spec = signature.inputs[0]
    first: Dim = spec.shape[0] if spec.shape else 1
    return {BATCH: 2 if isinstance(first, str) else first}


def _compare(
    network: Network,
    graph: Artifact,
    arrays: Arrays,
    original_names: dict[str, str],
    folder: Path,
) -> None:
    if network.graph is None:
        return
    source = inlined(network.graph, folder)
    try:
        have = run_graph(graph, arrays)
        want = run_graph(
            source, {original_names.get(name, name): array for name, array in arrays.items()}
        )
    except UnsupportedOperatorError as error:
        raise ExportError(
            f"'{network.name}' can't be run: {error.message}", error.remedy
        ) from error
    except EngineError as error:
        given = ", ".join(f"{name} {a.dtype}{list(a.shape)}" for name, a in arrays.items())
        raise ExportError(
            f"'{network.name}' can't be run on samples such as {given}: {error.message}",
            "Check that the arrays have the sizes that the network was trained on.",
        ) from error
    finally:
        for file in source.files() if source is not network.graph else ():
            file.unlink(missing_ok=True)
    difference = largest_difference(want, have)
    if not difference <= _TOLERANCE:
        raise ExportError(
            f"'{network.name}' answers differently by {difference:.2g} after the conversion.",
            f"Export it again with opset {_NEW_OPSET} or later.",
        )


def _widened(
    model: onnx.ModelProto, half: Artifact, arrays: Arrays, folder: Path
) -> tuple[onnx.ModelProto, Artifact, Note]:
    """The graph in float32, if its answers are those of float16 but for the rounding."""
    wide = widen(model)
    said = "Float16 stands where it can't be widened"
    if wide is not None:
        wide = _with_shapes(wide)
        trial = write_onnx(wide, folder, "wide")
        try:
            difference = largest_difference(run_graph(half, arrays), run_graph(trial, arrays))
            said = f"In float32 its answers differ by {difference:.2g} of the values around"
        except EngineError as error:
            difference, said = float("inf"), f"In float32 it can't be run ({first_line(error)})"
        finally:
            for file in trial.files():
                file.unlink(missing_ok=True)
        if difference <= _HALF_TOLERANCE:
            reason = (
                "The graph computed in float16; it computes in float32 here, and its answers"
                f" differ by at most {difference:.2g} of the values around."
            )
            return wide, write_onnx(wide, folder, "network"), Note("export", reason)
    note = Note("export", f"{said}, so the graph goes on computing in float16.")
    return model, half, note


def _freed(
    model: onnx.ModelProto,
    fixed: Artifact,
    example: Arrays,
    folder: Path,
    notes: list[Note],
) -> tuple[Artifact, tuple[Note, ...]]:
    """Try a free batch where the file fixes it to one row, and keep it if the rows don't notice."""
    inputs = fixed.signature.inputs
    size = inputs[0].shape[0] if inputs and inputs[0].shape else None
    kept = Note("export", f"The file fixes the batch to {size}.")
    if size != 1 or any(
        not s.shape or s.shape[0] != 1 for s in (*inputs, *fixed.signature.outputs)
    ):
        return fixed, (*notes, kept)
    onnx = require("onnx", "read a graph")
    free = onnx.ModelProto()
    free.CopyFrom(model)
    del free.graph.value_info[:]
    for value in (*free.graph.input, *free.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    trial = write_onnx(_with_shapes(free), folder, "free")
    specs = tuple(TensorSpec(s.name, s.dtype, (BATCH, *s.shape[1:])) for s in inputs)
    rows = resized(specs, example, {BATCH: 3})
    try:
        together = run_graph(trial, rows)
        for row in range(3):
            alone = run_graph(fixed, {key: array[row : row + 1] for key, array in rows.items()})
            mine = {key: array[row : row + 1] for key, array in together.items()}
            if not largest_difference(alone, mine) <= _TOLERANCE:
                return fixed, (*notes, kept)
    except EngineError:
        # A size that is written into the graph: the batch stays as the file says.
        return fixed, (*notes, kept)
    finally:
        for file in trial.files():
            file.unlink(missing_ok=True)
    graph = write_onnx(_with_shapes(free), folder, "network")
    return graph, (*notes, Note("export", "The file fixes the batch to 1; it was made dynamic."))

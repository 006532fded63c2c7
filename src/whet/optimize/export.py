"""From a network to a graph: the pass that changes stage.

A torch network is traced once; the program is saved as it is (for the eager
baseline and the ahead-of-time compiler) and translated to ONNX. Then the two
are run side by side at sizes that the tracer hasn't seen. An ONNX file is
brought into the form that the passes expect (`whet.optimize.adopt`).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.data.transform import TextTransform
from whet.errors import EngineError, ExportError
from whet.optimize.adopt import adopt
from whet.optimize.axes import BATCH, SEQUENCE, canonical_specs, resized
from whet.optimize.binding import bind_module
from whet.optimize.blame import export_error
from whet.optimize.graph.io import signature_of, write_onnx
from whet.optimize.graph.names import rename_symbols, rename_values, settle_sizes
from whet.optimize.graph.runs import largest_difference, run_graph
from whet.optimize.intake.network import Kind, Network
from whet.optimize.quiet import quiet
from whet.optimize.recurrent import any_length
from whet.optimize.rows import dropped_notes, rowless_outputs
from whet.optimize.said import first_line
from whet.optimize.saving import save_program
from whet.optimize.tracing import Traced, symbols, trace

if TYPE_CHECKING:
    import onnx
    import torch

__all__ = ["TOLERANCE", "Exported", "export"]

_OPSET = 20  # Gelu is one operator from here on; every runtime reads it
TOLERANCE = 1e-3
"""Of the values around in each output. Reassociated float32 sums stay far below."""
# torch's tracer keeps its state in globals: of two exports at once, one fails or both do.
_ONE_AT_A_TIME = threading.RLock()


@dataclass(frozen=True)
class Exported:
    """A network as files.

    Attributes:
        graph: ONNX, with the symbols ``batch`` and ``sequence``.
        program: the torch program with the same signature, called with tensors
            by position in the signature's order; ``None`` for ONNX sources.
        notes: what the reader of a result should know.
        dropped: outputs that were to be ignored and have no row for each row of the inputs.
    """

    graph: Artifact
    program: Artifact | None
    notes: tuple[Note, ...] = ()
    dropped: tuple[str, ...] = ()


def export(
    network: Network,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    where: Path | Context,
    *,
    fixed_batch: int = 1,
    ignore: Collection[str] = (),
    tolerance: float = TOLERANCE,
) -> Exported:
    """Write ``network.onnx`` (and ``network.pt2``) into a folder.

    Threads of one process take turns.

    Args:
        network: as `load_network` gave it.
        inputs: what the samples hold, with the batch axis; symbols are the
            axes that shall be dynamic.
        example: one batch of real samples, by input name.
        where: the folder, or a context whose ``workdir`` it is.
        fixed_batch: batch to fall back to where it can't be dynamic.
        ignore: outputs that nobody compares. Such of them as have no row for each row of the
            inputs (a state, a loss) are left out of the graph.
        tolerance: how far the graph's answers may be from the network's, as a share of the values
            around.

    Raises:
        ExportError: with the first cause in one sentence.
        SamplesError: the samples don't fit the network.
        NetworkError: their names don't.
    """
    folder = where.workdir if isinstance(where, Context) else where
    folder.mkdir(parents=True, exist_ok=True)
    inputs = canonical_specs(inputs)
    if network.kind is Kind.ONNX:
        graph, notes, dropped = adopt(network, inputs, example, folder, ignore)
        return Exported(graph, None, (*network.notes, *notes), dropped)
    with _ONE_AT_A_TIME:
        return _from_torch(network, inputs, example, folder, fixed_batch, ignore, tolerance)


def _from_torch(
    network: Network,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    folder: Path,
    fixed_batch: int,
    ignore: Collection[str],
    tolerance: float,
) -> Exported:
    module, ordered = bind_module(network, inputs)
    dropped = rowless_outputs(module, ordered, example, ignore)
    if dropped:
        module, _ = bind_module(network, inputs, without=dropped)
    traced = _trace(network, module, ordered, example, fixed_batch)
    shape = _graph_trace(network, traced, ordered, example, fixed_batch) if not dropped else traced
    model = _translate(network.name, shape)
    signature = _finish(model, network, traced)
    graph = write_onnx(model, folder, "network", signature)
    program = save_program(traced.program, signature, folder)
    _compare(network.name, module, graph, traced, example, fixed_batch, tolerance)
    notes = (*_renamed(network, ordered), *traced.notes, *dropped_notes(dropped))
    return Exported(graph, program, (*network.notes, *notes), dropped)


def _renamed(network: Network, inputs: tuple[TensorSpec, ...]) -> tuple[Note, ...]:
    """A single array of any name goes into the single input; what serves must know that name."""
    known = network.input_names()
    if len(inputs) != 1 or len(known) != 1 or inputs[0].name == known[0]:
        return ()
    return (
        Note(
            "export",
            f"The network's only input, '{known[0]}', is called '{inputs[0].name}' from here on,"
            " as in the samples.",
        ),
    )


def _trace(
    network: Network,
    module: torch.nn.Module,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    fixed_batch: int,
) -> Traced:
    transform = network.transform
    limits = {SEQUENCE: transform.max_length} if isinstance(transform, TextTransform) else {}
    return trace(network.name, module, inputs, example, limits=limits, fixed_batch=fixed_batch)


def _graph_trace(
    network: Network,
    traced: Traced,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    fixed_batch: int,
) -> Traced:
    """The trace to translate: of the form that graphs like better, where there is one."""
    if network.graph_module is None:
        return traced
    module, _ = bind_module(replace(network, module=network.graph_module), inputs)
    other = _trace(network, module, inputs, example, fixed_batch)
    return other if other.inputs == traced.inputs else traced


def _translate(name: str, traced: Traced) -> onnx.ModelProto:
    torch = require("torch", "export a network")
    require("onnxscript", "export a network")
    try:
        with quiet(), torch.no_grad(), any_length():
            translated = torch.onnx.export(
                traced.program,
                dynamo=True,
                opset_version=_OPSET,
                external_data=False,
                verbose=False,
            )
            model: onnx.ModelProto = translated.model_proto
    except Exception as error:  # the exporter wraps many types
        raise export_error(name, error) from error
    return model


def _finish(model: onnx.ModelProto, network: Network, traced: Traced) -> Signature:
    """Give inputs, outputs and axes their names, in place."""
    graph = model.graph
    names = {value.name: spec.name for value, spec in zip(graph.input, traced.inputs, strict=True)}
    outputs = network.outputs if len(network.outputs) == len(graph.output) else traced.outputs
    if len(outputs) != len(graph.output):
        outputs = tuple(f"output_{i}" for i in range(len(graph.output)))
    names |= {value.name: name for value, name in zip(graph.output, outputs, strict=True)}
    settle_sizes(graph)
    moved: dict[str, str] = {}
    for value, spec in zip(graph.input, traced.inputs, strict=True):
        for dim, want in zip(value.type.tensor_type.shape.dim, spec.shape, strict=True):
            if dim.dim_param and isinstance(want, str):
                moved[dim.dim_param] = want
    rename_values(graph, names)
    rename_symbols(graph, moved)
    _drop_traces(model)
    return signature_of(model)


def _drop_traces(model: onnx.ModelProto) -> None:
    """Drop the exporter's diary: source lines and paths of the machine it ran on."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]


def _compare(
    name: str,
    module: torch.nn.Module,
    graph: Artifact,
    traced: Traced,
    example: Arrays,
    fixed_batch: int,
    tolerance: float,
) -> None:
    """Run graph and program beside the module, at sizes the tracer hasn't seen.

    Raises:
        ExportError: they differ, or can't be run.
    """
    torch = require("torch", "export a network")
    with quiet():
        program = traced.program.module(check_guards=False)
    outputs = [spec.name for spec in graph.signature.outputs]
    for choices in _sizes(traced.inputs, example):
        sizes, arrays, want = _asked(
            name, module, traced.inputs, example, choices, outputs, fixed_batch
        )
        try:
            own = _answers(torch, program, _tensors(torch, traced.inputs, arrays), outputs)
            have = run_graph(graph, arrays)
        except (EngineError, RuntimeError, AssertionError) as error:
            raise ExportError(
                f"'{name}' was exported, but doesn't run at {_said(sizes)}: {first_line(error)}.",
                "Check for sizes that are written into the network's code.",
            ) from error
        if odd := next((n for n, array in want.items() if array.dtype.kind == "c"), None):
            raise ExportError(
                f"'{name}' gives complex numbers as '{odd}', which no runtime answers with.",
                "Give their parts as real numbers: torch.view_as_real.",
            )
        difference = max(largest_difference(want, have), largest_difference(want, own))
        if not difference <= tolerance:
            raise ExportError(
                f"'{name}' was exported, but its answers differ by {difference:.2g} of the values"
                f" around at {_said(sizes)}.",
                "Check for randomness, state, or constants that depend on the example in forward.",
            )


def _asked(
    name: str,
    module: torch.nn.Module,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    choices: tuple[dict[str, int], ...],
    outputs: list[str],
    fixed_batch: int,
) -> tuple[dict[str, int], Arrays, Arrays]:
    """The first sizes that the network itself can take, its inputs there and its answers."""
    torch = require("torch", "export a network")
    cause: Exception | None = None
    for sizes in choices:
        arrays = resized(inputs, example, sizes)
        if BATCH not in sizes:
            rows = [i % len(example[inputs[0].name]) for i in range(fixed_batch)]
            arrays = {key: array.take(rows, axis=0) for key, array in arrays.items()}
        try:
            return sizes, arrays, _answers(torch, module, _tensors(torch, inputs, arrays), outputs)
        except Exception as error:  # noqa: BLE001 - a signal shorter than a kernel, in any words
            cause = error
    raise export_error(name, cause or ExportError(name)) from cause


def _tensors(torch: Any, inputs: tuple[TensorSpec, ...], arrays: Arrays) -> list[torch.Tensor]:
    return [torch.from_numpy(arrays[spec.name].copy()) for spec in inputs]


def _answers(
    torch: object, module: torch.nn.Module, tensors: list[torch.Tensor], names: list[str]
) -> Arrays:
    with quiet(), torch.inference_mode():  # type: ignore[attr-defined]  # torch is untyped here
        found = module(*tensors)
    several = found if isinstance(found, tuple | list) else (found,)
    return {
        n: t.float().numpy() if t.is_floating_point() else t.numpy()
        for n, t in zip(names, several, strict=True)
    }


def _said(sizes: dict[str, int]) -> str:
    return ", ".join(f"{symbol}={size}" for symbol, size in sizes.items()) or "the fixed sizes"


def _sizes(inputs: tuple[TensorSpec, ...], example: Arrays) -> Iterator[tuple[dict[str, int], ...]]:
    """Two assignments of sizes: one row as given, and more rows with other lengths.

    Half the length may be too short for the network, so there is another choice each time.
    """
    names = symbols(inputs)
    given = {
        symbol: next(
            example[s.name].shape[s.shape.index(symbol)] for s in inputs if symbol in s.shape
        )
        for symbol in names
    }

    def assigned(batch: int, part: float) -> dict[str, int]:
        return {s: batch if s == BATCH else max(int(given[s] * part), 2) for s in names}

    yield (assigned(1, 1.0),)
    if names:
        yield assigned(3, 0.5), assigned(3, 0.75), assigned(3, 1.0)

"""From a module to a `torch.export` program with dynamic axes.

Three attempts, the first that works is kept:

1. every symbol of the inputs is one named ``Dim``, shared by all inputs that
   have it, so that the program states that their sizes agree;
2. torch finds out itself which of these axes can be dynamic and within which
   bounds (``Dim.AUTO``): a table of positions, for instance, ends somewhere;
3. everything fixed, at the batch that the caller names.

Sizes 0 and 1 are special to torch's tracer, so examples have at least two
rows, and no two symbols the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.note import Note
from whet.core.spec import Arrays, Dim, TensorSpec
from whet.errors import ExportError, WhetError
from whet.optimize.axes import BATCH, resized
from whet.optimize.blame import export_error
from whet.optimize.misfit import misfit_error
from whet.optimize.quiet import quiet
from whet.optimize.recurrent import any_length, length_notes

if TYPE_CHECKING:
    import torch

__all__ = ["Traced", "answers_of", "symbols", "trace"]

_LARGEST_BATCH = 1 << 16


@dataclass(frozen=True)
class Traced:
    """A program, its inputs with the axes that stayed dynamic, and its outputs' names."""

    program: torch.export.ExportedProgram
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    notes: tuple[Note, ...]


def symbols(inputs: tuple[TensorSpec, ...]) -> tuple[str, ...]:
    """The symbols of the inputs, each once, in order."""
    return tuple(dict.fromkeys(d for spec in inputs for d in spec.shape if isinstance(d, str)))


def trace(
    name: str,
    module: torch.nn.Module,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    *,
    limits: Mapping[str, int],
    fixed_batch: int,
) -> Traced:
    """Trace a module that takes tensors in the order of ``inputs``.

    Args:
        name: of the network, for errors.
        module: takes tensors by position.
        inputs: with symbols for the axes that shall be dynamic.
        example: one batch, by input name.
        limits: largest size of a symbol, where it is known.
        fixed_batch: batch to fall back to when it can't be dynamic.

    Raises:
        SamplesError: it can't take the example.
        ExportError: the network can't be traced at all.
    """
    torch = require("torch", "export a network")
    outputs = _output_names(name, module, inputs, example, fixed_batch)
    error: Exception | None = None
    for attempt in _attempts(inputs, example, limits, fixed_batch):
        try:
            with quiet(), torch.no_grad(), any_length():
                tensors = tuple(torch.from_numpy(attempt.example[s.name].copy()) for s in inputs)
                program = torch.export.export(
                    module, tensors, dynamic_shapes=attempt.shapes(torch), strict=False
                )
        except Exception as failed:  # noqa: BLE001  # torch's dozens of types have no base
            # What a fixed shape can't do either is the true cause; the first attempts' may be a bound.
            error = failed
            continue
        found = _found_inputs(program, inputs)
        notes = (*_notes(inputs, found), *length_notes(program, found))
        return Traced(program, found, outputs, notes)
    raise export_error(name, error or ExportError(name)) from error


@dataclass(frozen=True)
class _Attempt:
    example: Arrays
    shapes: Callable[..., object]


def _attempts(
    inputs: tuple[TensorSpec, ...], example: Arrays, limits: Mapping[str, int], fixed_batch: int
) -> Iterator[_Attempt]:
    names = symbols(inputs)
    # Distinct sizes from 2 up: equal sizes would be taken for one symbol.
    sizes = {symbol: 2 + i for i, symbol in enumerate(names)}
    for symbol in names:
        have = next(
            example[s.name].shape[s.shape.index(symbol)] for s in inputs if symbol in s.shape
        )
        if symbol != BATCH and have not in sizes.values():
            sizes[symbol] = max(have, 2)
    varied = resized(inputs, example, sizes)
    if names:
        yield _Attempt(varied, lambda torch: _named(torch, inputs, limits))
        yield _Attempt(varied, lambda torch: _auto(torch, inputs))
    yield _Attempt(resized(inputs, example, {BATCH: fixed_batch}), lambda _: None)


def _named(torch: object, inputs: tuple[TensorSpec, ...], limits: Mapping[str, int]) -> object:
    dim = torch.export.Dim  # type: ignore[attr-defined]  # torch is untyped here
    dims = {
        symbol: dim(
            symbol,
            min=1 if symbol == BATCH else 2,
            max=limits.get(symbol, _LARGEST_BATCH if symbol == BATCH else None),
        )
        for symbol in symbols(inputs)
    }
    # One entry for the one parameter of forward, *tensors.
    return (_per_axis(inputs, dims),)


def _auto(torch: object, inputs: tuple[TensorSpec, ...]) -> object:
    auto = torch.export.Dim.AUTO  # type: ignore[attr-defined]  # torch is untyped here
    return (_per_axis(inputs, dict.fromkeys(symbols(inputs), auto)),)


def _per_axis(
    inputs: tuple[TensorSpec, ...], dims: Mapping[str, object]
) -> tuple[dict[int, object], ...]:
    return tuple(
        {axis: dims[d] for axis, d in enumerate(spec.shape) if isinstance(d, str)}
        for spec in inputs
    )


def _output_names(
    name: str,
    module: torch.nn.Module,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    fixed_batch: int,
) -> tuple[str, ...]:
    """Names of the outputs, from one run; this is also the first sight of a broken network."""
    wrappers = require("whet.optimize.intake.modules", "export a network")
    try:
        value = answers_of(module, inputs, example)
    except Exception as error:  # whatever the user's code raises
        if BATCH not in symbols(inputs):
            raise _blamed(name, module, inputs, example, error) from error
        # A network with its batch written into the code runs at that batch only.
        fewer = resized(inputs, example, {BATCH: fixed_batch})
        try:
            value = answers_of(module, inputs, fewer)
        except Exception as again:
            raise _blamed(name, module, inputs, fewer, again) from again
    names = tuple(wrappers.unique_outputs(value))
    if not names:
        raise ExportError(
            f"'{name}' gives a {type(value).__name__} without tensors.",
            "Return tensors from forward.",
        )
    return names


def _blamed(
    name: str,
    module: torch.nn.Module,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    error: Exception,
) -> WhetError:
    """The samples' fault where it can be told, else the network's."""
    return misfit_error(name, module, inputs, example, error) or export_error(name, error)


def answers_of(module: torch.nn.Module, inputs: tuple[TensorSpec, ...], example: Arrays) -> object:
    """What a module gives for an example, names and all; raises what the module raises."""
    torch = require("torch", "export a network")
    wrappers = require("whet.optimize.intake.modules", "export a network")
    with quiet(), torch.inference_mode():
        tensors = [torch.from_numpy(example[s.name].copy()) for s in inputs]
        return module.raw(*tensors) if isinstance(module, wrappers.Called) else module(*tensors)


def _found_inputs(
    program: torch.export.ExportedProgram, inputs: tuple[TensorSpec, ...]
) -> tuple[TensorSpec, ...]:
    """The inputs with a size in place of each symbol that torch had to fix."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    found = []
    for spec, name in zip(inputs, program.graph_signature.user_inputs, strict=True):
        shape = nodes[name].meta["val"].shape
        dims: tuple[Dim, ...] = tuple(
            want if (size := _constant(have)) is None else size
            for want, have in zip(spec.shape, shape, strict=True)
        )
        found.append(TensorSpec(spec.name, spec.dtype, dims))
    return tuple(found)


def _constant(size: int | torch.SymInt) -> int | None:
    """A symbol that torch had to set equal to a number is still a symbol by its type."""
    constant: int | None = size if isinstance(size, int) else size.node.maybe_as_int()
    return constant


def _notes(wanted: tuple[TensorSpec, ...], found: tuple[TensorSpec, ...]) -> tuple[Note, ...]:
    lost = [symbol for symbol in symbols(wanted) if symbol not in symbols(found)]
    return tuple(
        Note("export", f"The axis '{symbol}' can't be dynamic in this network; its size is fixed.")
        for symbol in lost
    )

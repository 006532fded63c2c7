"""Whether a network answers row by row: one answer for each row, whatever rows are beside it.

Everything that is measured later rests on it. The original is asked for many rows at once and
candidates for as many as the contract says, a server gathers the rows of strangers into one
batch, and each row of an answer is compared with the original's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.note import Note
from whet.core.spec import Arrays, TensorSpec
from whet.errors import NetworkError
from whet.optimize.axes import BATCH, resized
from whet.optimize.graph.io import read_onnx
from whet.optimize.graph.runs import largest_difference, run_graph_on
from whet.optimize.tracing import answers_of

if TYPE_CHECKING:
    import torch

__all__ = ["dropped_notes", "need_rows", "rowless", "rowless_outputs"]

# Of the values around. Exports that differ from their network by a twentieth of this are refused
# already, so rounding stays far below.
_FAR = 0.02


def rowless_outputs(
    module: torch.nn.Module,
    inputs: tuple[TensorSpec, ...],
    example: Arrays,
    names: Collection[str],
) -> tuple[str, ...]:
    """Such of a module's outputs among ``names`` as have no row for each row of the inputs.

    Args:
        module: takes tensors in the order of ``inputs``.
        inputs: with the batch axis first.
        example: one batch of at least two rows.
        names: of outputs.
    """
    if not names:
        return ()
    wrappers = require("whet.optimize.intake.modules", "export a network")
    found: list[str] = []
    rows = len(example[inputs[0].name])
    for count in (rows, rows - 1):
        try:
            value = answers_of(module, inputs, resized(inputs, example, {BATCH: count}))
        except Exception:  # noqa: BLE001 - the trace, which comes next, says why
            return ()
        tensors = wrappers.unique_outputs(value)
        found += [name for name, t in tensors.items() if t.ndim == 0 or len(t) != count]
    return tuple(name for name in dict.fromkeys(found) if name in names)


def rowless(graph: Artifact, example: Arrays) -> tuple[str, ...]:
    """Outputs of a graph that have no row for each row of the inputs.

    Raises:
        EngineError: it can't be run.
    """
    batches = _batches(graph, example)
    answers = run_graph_on(graph, [arrays for _, arrays in batches])
    return _rowless([rows for rows, _ in batches], answers)


def need_rows(name: str, graph: Artifact, example: Arrays, ignore: Collection[str] = ()) -> None:
    """Refuse a graph whose answers aren't those of its rows, each by itself.

    With a batch that is fixed only the outputs' shapes can be seen; the rows are together then
    whenever it runs, and depend on each other as they always do.

    Args:
        name: of the network.
        graph: to be asked.
        example: rows of the samples.
        ignore: outputs that nobody compares.

    Raises:
        NetworkError: an output has no row for each row of the inputs, or rows depend on others.
        EngineError: it can't be run.
    """
    batches = _batches(graph, example)
    counts, asked = [rows for rows, _ in batches], [arrays for _, arrays in batches]
    answers = run_graph_on(graph, asked)
    _need_shapes(counts, answers)
    if len(batches) == 1 or _scales_batches(graph):
        return
    together, *alone = [_compared(each, ignore) for each in answers]
    apart = min(
        largest_difference(own, {key: array[row : row + 1] for key, array in together.items()})
        for row, own in enumerate(alone)
    )
    if apart <= _FAR:
        return
    again = [_compared(each, ignore) for each in run_graph_on(graph, asked[1:])]
    if max(map(largest_difference, alone, again)) > _FAR:
        return  # chance or a state, not the other rows
    raise NetworkError(
        f"The answers of '{name}' depend on the other rows of the batch: each of two rows, asked"
        f" alone, gets another answer than beside the other (by {min(apart, 1.0):.0%} of the"
        " values or more).",
        "Let forward compute over each row alone (no mean, deviation or softmax over axis 0), leave"
        " such an output out with --ignore-output, or give an ONNX file with the batch fixed to"
        " what it is used with.",
    )


def dropped_notes(names: Collection[str]) -> tuple[Note, ...]:
    """What to know of outputs that were left out."""
    return tuple(
        Note(
            "export",
            f"The output '{name}' is ignored and has no row for each row of the inputs, so it is"
            " left out of everything that is made of the network.",
        )
        for name in names
    )


def _batches(graph: Artifact, example: Arrays) -> list[tuple[int, Arrays]]:
    """Two rows, then each alone; where the graph fixes the batch, one of that size."""
    inputs = graph.signature.inputs
    sizes = {spec.shape[0] for spec in inputs if spec.shape}
    fixed = next(iter(sizes)) if len(sizes) == 1 else 1
    if isinstance(fixed, int):
        return [(fixed, _rows(inputs, example, range(fixed)))]
    return [
        (len(picks), _rows(inputs, example, picks)) for picks in (range(2), range(1), range(1, 2))
    ]


def _rows(inputs: tuple[TensorSpec, ...], example: Arrays, picks: range) -> Arrays:
    return {
        spec.name: array.take([row % len(array) for row in picks], axis=0)
        for spec in inputs
        for array in (example[spec.name],)
    }


def _rowless(counts: list[int], answers: list[Arrays]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            name
            for rows, each in zip(counts, answers, strict=True)
            for name, array in each.items()
            if array.ndim == 0 or len(array) != rows
        )
    )


def _need_shapes(counts: list[int], answers: list[Arrays]) -> None:
    lacking = _rowless(counts, answers)
    if not lacking:
        return
    name, shape = lacking[0], list(answers[0][lacking[0]].shape)
    if len(lacking) == len(answers[0]):
        raise NetworkError(
            f"The output '{name}' has shape {shape} for {counts[0]} row{'s'[: counts[0] != 1]}"
            " of the inputs: no output has the batch as its first axis.",
            "Give a network whose answers have one row for each row of the inputs.",
        )
    flags = " ".join(f"--ignore-output {each}" for each in lacking)
    raise NetworkError(
        f"The output '{name}' has shape {shape} for {counts[0]} row{'s'[: counts[0] != 1]} of the"
        " inputs: its first axis isn't the batch.",
        f"Leave it out with {flags} (ignore_outputs={lacking!r} in Python), or let the network"
        " give one row for each row.",
    )


def _compared(answers: Mapping[str, NDArray[np.generic]], ignore: Collection[str]) -> Arrays:
    """Whole numbers stay out: the place of a largest value turns over with rounding."""
    return {
        name: array
        for name, array in answers.items()
        if name not in ignore and array.dtype.kind == "f"
    }


def _scales_batches(graph: Artifact) -> bool:
    """Whether the file is quantised with a scale of each batch as a whole, which is noise only."""
    model = read_onnx(graph)
    return any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)

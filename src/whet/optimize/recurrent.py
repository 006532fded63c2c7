"""LSTM and GRU layers whose length stays free while a network is traced.

To learn the shapes of a recurrent layer's answers, torch's tracer runs its decomposition: a Python
loop over the steps, which makes the length a constant of the program. The layer itself stays one
operator, in the program and in ONNX, where it takes any length. So for the time of a trace the
decompositions say the shapes only. `torch.export._patches` (torch 2.13) does the same with a loop
operator, which runtimes run step by step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.note import Note
from whet.core.spec import TensorSpec

if TYPE_CHECKING:
    import torch

__all__ = ["any_length", "length_notes"]


@contextlib.contextmanager
def any_length() -> Iterator[None]:
    """Inside the block, tracing an LSTM or GRU layer leaves its length a symbol.

    Nothing must be computed with these layers meanwhile.
    """
    torch = require("torch", "export a network")
    tables = require("torch._decomp", "export a network").global_decomposition_table
    implicit = torch._C.DispatchKey.CompositeImplicitAutograd  # noqa: SLF001 - has no public name
    aten = torch.ops.aten
    with contextlib.ExitStack() as stack:
        for operator, shapes in ((aten.lstm.input, _lstm), (aten.gru.input, _gru)):
            # The tracer looks into one of them, the translation to ONNX into the other.
            for table, key in (
                (tables["post_autograd"], operator),
                (operator.py_kernels, implicit),
            ):
                stack.enter_context(_instead(table, key, shapes))
            # What was resolved before the block, and within it, holds only there.
            operator._dispatch_cache.clear()  # noqa: SLF001 - as torch.export does
            stack.callback(operator._dispatch_cache.clear)  # noqa: SLF001 - as above
        yield


@contextlib.contextmanager
def _instead(table: dict[object, object], key: object, value: object) -> Iterator[None]:
    kept = {key: table[key]} if key in table else {}
    table[key] = value
    try:
        yield
    finally:
        del table[key]
        table.update(kept)


def length_notes(
    program: torch.export.ExportedProgram, inputs: tuple[TensorSpec, ...]
) -> tuple[Note, ...]:
    """What to know where a recurrent layer takes one length only, since all samples have it.

    Args:
        program: traced within `any_length`.
        inputs: those of the program.
    """
    aten = require("torch", "export a network").ops.aten
    found: dict[int, None] = {}
    for node in program.graph.nodes:
        if node.op == "call_function" and node.target in {aten.lstm.input, aten.gru.input}:
            batch_first = node.args[-1]
            length = node.args[0].meta["val"].shape[1 if batch_first else 0]
            if isinstance(length, int) and any(length in spec.shape[1:] for spec in inputs):
                found[length] = None
    return tuple(
        Note(
            "export",
            f"All samples are sequences of length {length}, so what is made of the network takes"
            " no other. Give samples of several lengths to keep that axis dynamic.",
        )
        for length in found
    )


def _lstm(
    sequence: torch.Tensor,
    states: Sequence[torch.Tensor],
    _parameters: Sequence[torch.Tensor],
    _biases: bool,
    _layers: int,
    _dropout: float,
    _train: bool,
    bidirectional: bool,
    _batch_first: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    hidden, cell = states
    answers = _answers(sequence, hidden, bidirectional=bidirectional)
    return answers, hidden.new_empty(hidden.shape), cell.new_empty(cell.shape)


def _gru(
    sequence: torch.Tensor,
    hidden: torch.Tensor,
    _parameters: Sequence[torch.Tensor],
    _biases: bool,
    _layers: int,
    _dropout: float,
    _train: bool,
    bidirectional: bool,
    _batch_first: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    answers = _answers(sequence, hidden, bidirectional=bidirectional)
    return answers, hidden.new_empty(hidden.shape)


def _answers(sequence: torch.Tensor, hidden: torch.Tensor, *, bidirectional: bool) -> torch.Tensor:
    """Both orders of batch and length give answers of the same order."""
    width = hidden.shape[2] * (2 if bidirectional else 1)
    return sequence.new_empty((*sequence.shape[:2], width))

"""What intake gives: a trained network, wherever it came from."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from whet.core.artifact import Artifact
from whet.core.note import Note
from whet.core.spec import TensorSpec
from whet.data.transform import Transform

if TYPE_CHECKING:
    import torch

__all__ = ["Kind", "Network", "Task"]


class Kind(enum.StrEnum):
    """What a network is held as."""

    TORCH = "torch"  # a torch.nn.Module in evaluation mode
    ONNX = "onnx"  # an ONNX file


class Task(enum.StrEnum):
    """What a network is for, where the source says so."""

    CLASSIFIER = "classifier"
    ENCODER = "encoder"


@dataclass(frozen=True)
class Network:
    """A trained network and what its source says about it.

    Exactly one of ``module`` and ``graph`` is set, as ``kind`` says.

    Attributes:
        name: short name for reports and files.
        kind: what it is held as.
        module: takes tensors by the names of ``parameters``, gives a tensor,
            a tuple or a mapping of tensors.
        graph_module: the same network over the same weights, in the form that
            becomes the better graph (attention written out), where there is one.
        graph: the ONNX file; never written to.
        inputs: names, dtypes and shapes where the source states them; with
            the batch axis. Empty where only samples can tell.
        parameters: names of the inputs where nothing else is stated.
        outputs: names for the outputs; empty = ``output``, ``output_1``, ...
        task: what it is for.
        transform: how its inputs are made from pictures or text.
        tokenizer: ``tokenizer.json`` that came with it.
        classes: names of its classes by index, where the source says them.
        notes: what the reader of a result should know.
    """

    name: str
    kind: Kind
    module: torch.nn.Module | None = None
    graph_module: torch.nn.Module | None = None
    graph: Artifact | None = None
    inputs: tuple[TensorSpec, ...] = ()
    parameters: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    task: Task | None = None
    transform: Transform | None = None
    tokenizer: Path | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def untransformed(self) -> str:
        """Why pictures or text can't be made into its inputs, where its source says."""
        if self.transform is not None:
            return ""
        return next((note.reason for note in self.notes if note.where == "transform"), "")

    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, as far as they are known."""
        return tuple(spec.name for spec in self.inputs) or self.parameters

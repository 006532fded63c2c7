"""Reading torch.export programs, and checking them against a signature.

What is safe here: `torch_check` says in detail what ``torch.export.load`` would
run or unpickle, and refuses a file that holds any of it, through torch's own
zip reader and before a byte is loaded. Sample inputs must pass the restricted
unpickler (``weights_only=True``). Guards stay source text: programs are used
with ``check_guards=False``, and sizes are checked by the session's `Guard`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.spec import Signature
from whet.errors import EngineError, InputError
from whet.runtimes.failure import engine_error
from whet.runtimes.guard import Port, check_ports, widen_bfloat16
from whet.runtimes.torch_check import SAMPLES, check_archive

if TYPE_CHECKING:
    import torch

__all__ = ["Module", "as_module", "hushed", "load_program", "to_numpy", "to_torch"]

Module = Callable[..., Any]


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Without torch's warnings about its own parts and its log of errors that we raise anyway."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def load_program(file: Path, runtime: str) -> torch.export.ExportedProgram:
    """Check a program file, then load it.

    Args:
        file: what `torch.export.save` wrote.
        runtime: name of the runtime that asks, for messages.

    Raises:
        EngineError: missing, damaged, or it holds more than a plain program.
    """
    torch = require("torch", "run a torch program")
    archive = require("torch.export.pt2_archive", "run a torch program")
    # Not torch.export.load: on an error it goes on to an older format that can't be checked.
    loader = require("torch.export.pt2_archive._package", "run a torch program")
    try:
        with hushed(), file.open("rb") as stream:
            reader = archive.PT2ArchiveReader(stream)
            entries = reader.get_file_names()
            check_archive(entries, reader.read_bytes)
            if SAMPLES in entries and (samples := reader.read_bytes(SAMPLES)):
                torch.load(io.BytesIO(samples), map_location="cpu", weights_only=True)
            stream.seek(0)
            return loader.load_pt2(stream).exported_programs["model"]
    except InputError as error:
        raise EngineError(error.message, error.remedy) from error
    except Exception as error:  # torch reports damage by many unrelated types
        remedy = f"Write it again with torch {torch.__version__} and torch.export.save."
        raise engine_error(runtime, f"open {file.name}", error, remedy) from error


def as_module(
    program: torch.export.ExportedProgram, graph: Artifact, runtime: str
) -> tuple[torch.nn.Module, Module]:
    """The program's module, and a function from tensors in the signature's order to a flat list.

    Programs may take their inputs by position or by name; names must then be the signature's.

    Raises:
        EngineError: the program's inputs or outputs are not those of the signature.
    """
    pytree = require("torch.utils._pytree", "run a torch program")
    _check_program(program, widen_bfloat16(graph.signature), runtime)
    with hushed():
        module = program.module(check_guards=False)
    names = _keywords(program)
    positional = len(graph.signature.inputs) - len(names)
    order = [spec.name for spec in graph.signature.inputs][positional:]

    def call(*tensors: torch.Tensor) -> list[torch.Tensor]:
        by_name = dict(zip(order, tensors[positional:], strict=True))
        leaves: list[torch.Tensor] = pytree.tree_leaves(module(*tensors[:positional], **by_name))
        return leaves

    return module, call


def _check_program(
    program: torch.export.ExportedProgram, signature: Signature, runtime: str
) -> None:
    inputs = _ports(program, program.graph_signature.user_inputs)
    outputs = _ports(program, program.graph_signature.user_outputs)
    if len(inputs) != len(signature.inputs) or len(outputs) != len(signature.outputs):
        raise EngineError(
            f"The program has {len(inputs)} inputs and {len(outputs)} outputs, the signature says"
            f" {len(signature.inputs)} and {len(signature.outputs)}.",
            "The file belongs to another model.",
        )
    names = _keywords(program)
    order = [spec.name for spec in signature.inputs][len(inputs) - len(names) :]
    if set(names) != set(order):
        raise EngineError(
            f"The program takes {sorted(names)} by name, the signature says {sorted(order)}.",
            "The file belongs to another model.",
        )
    # Keywords come in the program's order, which need not be the signature's.
    given = inputs[: len(inputs) - len(names)] + [
        inputs[len(inputs) - len(names) + names.index(name)] for name in order
    ]
    check_ports(
        runtime,
        signature,
        [Port(s.name, p.dtype, p.shape) for s, p in zip(signature.inputs, given, strict=True)],
        [Port(s.name, p.dtype, p.shape) for s, p in zip(signature.outputs, outputs, strict=True)],
    )


def _keywords(program: torch.export.ExportedProgram) -> list[str]:
    _, keywords = program.call_spec.in_spec.children()
    return list(keywords.context or ())


def _ports(program: torch.export.ExportedProgram, names: tuple[str, ...]) -> list[Port]:
    torch = require("torch", "run a torch program")
    nodes = {node.name: node for node in program.graph.nodes}
    ports = []
    for name in names:
        value = nodes[name].meta.get("val") if name in nodes else None
        if not isinstance(value, torch.Tensor):
            raise EngineError(
                f"The program's '{name}' is no tensor.", "Export a wrapper around plain tensors."
            )
        dtype = str(value.dtype).removeprefix("torch.")
        shape = tuple(d if isinstance(d, int) else None for d in value.shape)
        ports.append(Port(name, "float32" if dtype == "bfloat16" else dtype, shape))
    return ports


def to_torch(array: NDArray[np.generic]) -> torch.Tensor:
    """A tensor over the array's memory where that is contiguous and writable, else over a copy."""
    from torch import from_numpy  # loaded long since: this is the path of each request

    flags = array.flags
    lendable = array if flags.c_contiguous and flags.writeable else array.copy(order="C")
    return from_numpy(lendable)


def to_numpy(tensor: torch.Tensor) -> NDArray[np.generic]:
    """A copy that the caller owns; bfloat16, which numpy lacks, as float32 (exact)."""
    from torch import bfloat16  # as in to_torch

    plain = tensor.float() if tensor.dtype is bfloat16 else tensor
    answer: NDArray[np.generic] = plain.detach().contiguous().numpy().copy()
    return answer

"""A ``.pt2`` program written by `torch.export.save`.

`whet.runtimes.torch_check` says what such a file could make torch run, and
refuses it before torch reads the file.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.note import Note
from whet.core.spec import Dim, TensorSpec
from whet.errors import EngineError, NetworkError
from whet.optimize.axes import canonical_specs
from whet.optimize.intake.network import Kind, Network
from whet.optimize.quiet import quiet
from whet.runtimes import torch_program

if TYPE_CHECKING:
    import torch

__all__ = ["load_program"]


def load_program(path: Path) -> Network:
    """Check a program, then read it.

    Raises:
        NetworkError: damaged, of another torch, or not plain.
    """
    torch = require("torch", "read a .pt2 program")
    if not zipfile.is_zipfile(path):
        raise NetworkError(
            f"'{path.name}' can't be read as a torch program: it is damaged or cut off.",
            "Check that the file is complete, or write it again with torch.export.save.",
        )
    try:
        program = torch_program.load_program(path, "torch")
    except EngineError as error:
        # What the file calls its parts may hold line breaks.
        raise NetworkError(" ".join(error.message.split()), error.remedy) from error
    specs = _inputs(program)
    args, keywords = program.call_spec.in_spec.children()
    if not all(spec.is_leaf() for spec in (*args.children(), *keywords.children())):
        raise NetworkError(
            f"'{path.name}' takes nested containers of tensors.",
            "Export a wrapper whose forward takes plain tensors.",
        )
    cut = args.num_children
    names = (*(spec.name for spec in specs[:cut]), *(keywords.context or ()))
    wrappers = require("whet.optimize.intake.modules", "run a .pt2 program")
    # The guards of the file are source text and stay out; sizes are checked by the new export.
    with quiet():
        module = program.module(check_guards=False)
        # Neither are sizes that the file fixed: whether they can be free, the new export tells.
        module.validate_inputs = False
    inputs = tuple(TensorSpec(n, s.dtype, s.shape) for n, s in zip(names, specs, strict=True))
    return Network(
        path.stem,
        Kind.TORCH,
        module=wrappers.Called(module, names[:cut], names[cut:]),
        inputs=canonical_specs(inputs),
        parameters=names,
        notes=(Note("network", f"Read from a torch.export program (torch {torch.__version__})."),),
    )


def _inputs(program: torch.export.ExportedProgram) -> tuple[TensorSpec, ...]:
    torch = require("torch", "read a .pt2 program")
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    specs = []
    for name in program.graph_signature.user_inputs:
        value = nodes[name].meta.get("val") if isinstance(name, str) and name in nodes else None
        if not isinstance(value, torch.Tensor):
            raise NetworkError(
                f"The program takes '{name}', which is no tensor.",
                "Export a wrapper whose forward takes tensors only.",
            )
        dims: tuple[Dim, ...] = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
        specs.append(TensorSpec(name, str(value.dtype).removeprefix("torch."), dims))
    return tuple(specs)

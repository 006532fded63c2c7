"""A live `torch.nn.Module`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.note import Note
from whet.errors import NetworkError
from whet.optimize.intake.network import Kind, Network
from whet.optimize.said import kind_and_line

if TYPE_CHECKING:
    import torch

__all__ = ["input_parameters", "load_module", "need_traceable"]


def load_module(module: torch.nn.Module, name: str | None = None) -> Network:
    """Take a module as it is, in evaluation mode and on the CPU.

    The caller's module is not changed: one that is in training mode, on
    another device or in half precision is copied first.

    Raises:
        NetworkError: it was compiled by torch.jit, has weights that were never made, can't be
            copied where it must be, or a parameter holds NaN or infinity.
    """
    torch = require("torch", "read a network")
    need_traceable(module)
    tensors = (*module.parameters(), *module.buffers())
    foreign = any(
        t.device.type != "cpu" or t.dtype in {torch.float16, torch.float64} for t in tensors
    )
    halves = any(t.dtype is torch.bfloat16 for t in tensors)
    notes: list[Note] = []
    if module.training or any(part.training for part in module.modules()) or foreign or halves:
        module = _copied(module, foreign=foreign or halves).to("cpu").eval()
    if foreign or halves:
        module = module.float()
        notes.append(Note("network", "The weights were moved to the CPU in float32."))
    _need_finite(module)
    label = name or type(module).__name__
    return Network(
        label, Kind.TORCH, module=module, parameters=input_parameters(module), notes=tuple(notes)
    )


def need_traceable(module: torch.nn.Module) -> None:
    """Refuse what no look at its weights and no trace can be made of.

    Raises:
        NetworkError: it was compiled by torch.jit, or has weights that were never made.
    """
    _need_plain(module)
    _need_made(module)


def _need_plain(module: torch.nn.Module) -> None:
    # Parts may be compiled: the tracer goes through those that torch.jit.trace made.
    if isinstance(module, require("torch", "read a network").jit.ScriptModule):
        raise NetworkError(
            "The network was compiled by torch.jit, which leaves nothing to trace.",
            "Give the module as it was before torch.jit.script or torch.jit.trace.",
        )


def _need_made(module: torch.nn.Module) -> None:
    torch = require("torch", "read a network")
    lazy = torch.nn.parameter
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(tensor, lazy.UninitializedParameter | lazy.UninitializedBuffer):
            raise NetworkError(
                f"'{name}' has no values and no shape yet: it belongs to a lazy layer.",
                "Run the network once on a batch, load its trained weights, then give it.",
            )


def _copied(module: torch.nn.Module, *, foreign: bool) -> torch.nn.Module:
    copy = require("copy", "copy a network")
    try:
        copied: torch.nn.Module = copy.deepcopy(module)
    except Exception as error:  # whatever a part of it raises that can't be copied
        why = "in another place or dtype than float32 on the CPU" if foreign else "in training mode"
        call = ".cpu().float().eval()" if foreign else ".eval()"
        raise NetworkError(
            f"The network is {why} and can't be copied ({kind_and_line(error)}).",
            f"Call {call} on it first: then it is taken as it is, without a copy.",
        ) from error
    return copied


def _need_finite(module: torch.nn.Module) -> None:
    torch = require("torch", "read a network")
    for name, tensor in module.named_parameters():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NetworkError(
                f"The parameter '{name}' holds NaN or infinity.",
                "Check the training run, or give a healthy checkpoint.",
            )


def input_parameters(module: torch.nn.Module) -> tuple[str, ...]:
    """Names of the inputs that ``forward`` must be given; empty where it takes ``*args``.

    Raises:
        NetworkError: it is no Python function.
    """
    try:
        parameters = inspect.signature(module.forward).parameters
    except (TypeError, ValueError) as error:
        raise NetworkError(
            f"The forward of a {type(module).__name__} says nothing about its arguments.",
            "Give a torch.nn.Module whose forward is written in Python.",
        ) from error
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return tuple(
        name
        for name, parameter in parameters.items()
        if parameter.kind in kinds and parameter.default is inspect.Parameter.empty
    )

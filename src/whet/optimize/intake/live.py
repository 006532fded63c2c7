"""A live `torch.nn.Module`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from whet._optional import require
from whet.core.note import Note
from whet.errors import NetworkError
from whet.optimize.intake.network import Kind, Network

if TYPE_CHECKING:
    import torch

__all__ = ["input_parameters", "load_module"]


def load_module(module: torch.nn.Module, name: str | None = None) -> Network:
    """Take a module as it is, in evaluation mode and on the CPU.

    The caller's module is not changed: one that is in training mode, on
    another device or in half precision is copied first.

    Raises:
        NetworkError: a parameter holds NaN or infinity.
    """
    torch = require("torch", "read a network")
    tensors = (*module.parameters(), *module.buffers())
    foreign = any(
        t.device.type != "cpu" or t.dtype in {torch.float16, torch.float64} for t in tensors
    )
    halves = any(t.dtype is torch.bfloat16 for t in tensors)
    notes: list[Note] = []
    if module.training or any(part.training for part in module.modules()) or foreign or halves:
        copy = require("copy", "copy a network")
        module = copy.deepcopy(module).to("cpu").eval()
    if foreign or halves:
        module = module.float()
        notes.append(Note("network", "The weights were moved to the CPU in float32."))
    _need_finite(module)
    label = name or type(module).__name__
    return Network(
        label, Kind.TORCH, module=module, parameters=input_parameters(module), notes=tuple(notes)
    )


def _need_finite(module: torch.nn.Module) -> None:
    torch = require("torch", "read a network")
    for name, tensor in module.named_parameters():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise NetworkError(
                f"The parameter '{name}' holds NaN or infinity.",
                "Check the training run, or give a healthy checkpoint.",
            )


def input_parameters(module: torch.nn.Module) -> tuple[str, ...]:
    """Names of the inputs that ``forward`` must be given; empty where it takes ``*args``."""
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return tuple(
        name
        for name, parameter in inspect.signature(module.forward).parameters.items()
        if parameter.kind in kinds and parameter.default is inspect.Parameter.empty
    )

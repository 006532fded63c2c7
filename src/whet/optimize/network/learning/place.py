"""Where networks learn here, and in which arithmetic."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

from whet.measure.machine import cpu_flags

__all__ = ["Place", "place"]

_HALVES = "amx_bf16"  # CPUs with it multiply in bfloat16 several times as fast


@dataclass(frozen=True)
class Place:
    """A device.

    Attributes:
        device: of torch.
        halves: whether products are taken in bfloat16.
    """

    device: torch.device
    halves: bool

    def arithmetic(self) -> contextlib.AbstractContextManager[None]:
        """In which networks are run."""
        if not self.halves:
            return contextlib.nullcontext()
        found: contextlib.AbstractContextManager[None] = torch.autocast(
            self.device.type, torch.bfloat16
        )
        return found

    def wait(self) -> None:
        """Until what was asked of it is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def place() -> Place:
    """A GPU where there is one, else the CPU."""
    if torch.cuda.is_available():
        return Place(torch.device("cuda"), halves=True)
    return Place(torch.device("cpu"), halves=_HALVES in cpu_flags())

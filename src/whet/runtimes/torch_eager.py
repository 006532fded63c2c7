"""Eager torch: the baseline that everybody knows, one operator after another.

Opens a torch.export program (`Format.TORCH`) and runs its module under
``inference_mode``. There is nothing to compile: the engine is the program's
own file. `torch_program` says how a file is checked before it is read.

What each field of `Settings` becomes:

===========  ================================================================
``threads``  ``torch.set_num_threads``, which holds for the whole process: of
             several open sessions, each sets its own number when it runs
``spin``     off: ``OMP_WAIT_POLICY=PASSIVE``, only before torch is loaded
===========  ================================================================

Nothing else is honoured: a baseline has no tricks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.evidence import LayerTime
from whet.core.settings import Settings
from whet.core.spec import Arrays, Signature
from whet.errors import EngineError
from whet.runtimes.base import Availability, check_settings
from whet.runtimes.failure import engine_error
from whet.runtimes.guard import Guard, widen_bfloat16
from whet.runtimes.torch_profile import profile
from whet.runtimes.torch_program import Module, as_module, load_program, to_numpy, to_torch
from whet.runtimes.torch_threads import set_spin, use_threads
from whet.runtimes.versions import availability

if TYPE_CHECKING:
    import torch

__all__ = ["TorchRuntime"]


@final
class TorchRuntime:
    """Eager torch on the CPU; see the module's table for its settings."""

    name: ClassVar[str] = "torch"
    reads: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    honours: ClassVar[frozenset[str]] = frozenset({"threads", "spin"})
    bakes: ClassVar[frozenset[str]] = frozenset()

    def available(self) -> Availability:
        return availability("torch", "optimize")

    def compile(self, graph: Artifact, settings: Settings, where: Path) -> Path:  # noqa: ARG002  # the interface's
        """Return the program's own file: eager torch compiles nothing."""
        check_settings(self.name, self.honours, settings)
        return graph.file

    def open(self, engine: Path, graph: Artifact, settings: Settings) -> TorchSession:
        """See `Runtime.open`; ``engine`` is the program's file."""
        check_settings(self.name, self.honours, settings)
        signature = widen_bfloat16(graph.signature)
        set_spin(settings)
        program = load_program(engine, self.name)
        _, call = as_module(program, graph, self.name)
        return TorchSession(call, Guard(signature), settings.threads)


@final
class TorchSession:
    """A loaded program. Requests may overlap; torch's one thread pool serves them all."""

    def __init__(self, call: Module, guard: Guard, threads: int) -> None:
        self.signature: Signature = guard.signature
        self._call: Module | None = call
        self._guard = guard
        self._threads = threads
        self._names = [spec.name for spec in self.signature.outputs]
        self._torch = require("torch", "run a torch program")
        use_threads(threads)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """See `Session.run`."""
        call = self._call
        if call is None:
            raise EngineError("The session is closed.", "Open the engine again.")
        tensors = [to_torch(array) for array in self._guard.admit(inputs)]
        use_threads(self._threads)
        try:
            with self._torch.inference_mode():
                answers: list[torch.Tensor] = call(*tensors)
        except Exception as error:  # operators raise what they like
            remedy = "Check the network on these inputs."
            raise engine_error(TorchRuntime.name, "run", error, remedy) from error
        return {n: to_numpy(answer) for n, answer in zip(self._names, answers, strict=True)}

    def layers(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[LayerTime, ...]:
        """Time of each operator; medians of a few requests."""
        tensors = [to_torch(array) for array in self._guard.admit(inputs)]
        call = self._call
        if call is None:
            raise EngineError("The session is closed.", "Open the engine again.")
        use_threads(self._threads)
        with self._torch.inference_mode():
            return profile(lambda: call(*tensors))

    def close(self) -> None:
        self._call = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

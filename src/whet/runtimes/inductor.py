"""AOTInductor: a torch program compiled ahead of time into a library of its own.

`compile` takes a torch.export program and writes an AOTInductor package
(``engine.pt2``) with the weights frozen in; that needs g++ and takes half a
minute or more. `open` loads the package, which needs neither.

**An AOTInductor package is native code.** Loading it runs it, and it reads its
inputs without looking at their types. So only a package with a matching seal
is opened (see `seal`), and only arrays that match its signature reach it. A
program file that is given to `compile` is checked first (see `torch_program`).

What each field of `Settings` becomes:

=============  ==============================================================
``threads``    ``cpp.threads``: written into the generated loops (baked), and
               ``torch.set_num_threads`` for the libraries that they call
``streams``    model instances in the package's loader; further callers wait
``precision``  bf16: the program is exported again under autocast, with its
               edges as they were (baked)
``layout``     channels-last: ``force_layout_optimization`` (baked); else
               Inductor decides
``fixed``      the program is exported again with these sizes (baked)
``spin``       off: ``OMP_WAIT_POLICY=PASSIVE``, only before torch is loaded
=============  ==============================================================
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.evidence import LayerTime
from whet.core.settings import Layout, Precision, Settings
from whet.core.spec import Arrays, Signature
from whet.errors import EngineError, OptionError, RuntimeUnavailableError
from whet.runtimes.base import Availability, check_settings
from whet.runtimes.failure import engine_error
from whet.runtimes.guard import Guard, fix_symbols, widen_bfloat16
from whet.runtimes.inductor_adapt import adapt, need_no_unrolling
from whet.runtimes.seal import check_seal, is_graph_itself, seal_engine
from whet.runtimes.torch_program import as_module, hushed, load_program, to_numpy, to_torch
from whet.runtimes.torch_threads import set_spin, use_threads
from whet.runtimes.versions import availability

if TYPE_CHECKING:
    import torch

__all__ = ["InductorRuntime"]

_COMPILER = "g++"


@final
class InductorRuntime:
    """AOTInductor on the CPU; see the module's table for its settings."""

    name: ClassVar[str] = "inductor"
    reads: ClassVar[frozenset[Format]] = frozenset({Format.TORCH})
    honours: ClassVar[frozenset[str]] = frozenset(
        {"threads", "streams", "precision", "layout", "fixed", "spin"}
    )
    bakes: ClassVar[frozenset[str]] = frozenset({"threads", "precision", "layout", "fixed"})

    def available(self) -> Availability:
        """Whether torch and the compiler are there; opening alone needs only torch."""
        found = availability("torch", "optimize")
        if found.ok and shutil.which(_COMPILER) is None:
            return Availability(
                ok=False, version=found.version, reason=f"{_COMPILER} is not installed"
            )
        return found

    def compile(self, graph: Artifact, settings: Settings, where: Path) -> Path:
        """See `Runtime.compile`; writes ``engine.pt2``.

        Raises:
            RuntimeUnavailableError: there is no g++.
        """
        check_settings(self.name, self.honours, settings)
        fix_symbols(graph.signature, settings.fixed)
        if settings.precision is Precision.FP16:
            raise OptionError("Inductor doesn't compute in fp16 on CPUs.", "Ask for fp32 or bf16.")
        if shutil.which(_COMPILER) is None:
            raise RuntimeUnavailableError(
                f"Inductor compiles with {_COMPILER}, which is not installed.",
                f"Install {_COMPILER}, or leave this runtime out.",
            )
        torch = require("torch", "compile with Inductor")
        inductor = require("torch._inductor", "compile with Inductor")
        program = load_program(graph.file, self.name)
        engine = where / "engine.pt2"
        try:
            # Weights are frozen only where no gradient can be asked for.
            with hushed(), torch.no_grad():
                module, call = as_module(program, graph, self.name)
                adapted = adapt(program, module, call, graph.signature, settings)
                need_no_unrolling(adapted)
                inductor.aoti_compile_and_package(
                    adapted, package_path=str(engine), inductor_configs=_configs(settings)
                )
        except EngineError:
            raise
        except Exception as error:  # the compiler's parts raise what they like
            remedy = "Leave this runtime out for this network."
            raise engine_error(self.name, f"compile {graph.file.name}", error, remedy) from error
        return seal_engine(self, engine, graph, settings)

    def open(self, engine: Path, graph: Artifact, settings: Settings) -> InductorSession:
        """See `Runtime.open`; ``engine`` must be a sealed package.

        Raises:
            EngineError: also for a program's own file, which has to be compiled first.
        """
        check_settings(self.name, self.honours, settings)
        signature = widen_bfloat16(fix_symbols(graph.signature, settings.fixed))
        if is_graph_itself(engine, graph):
            raise EngineError(
                f"Inductor can't open {engine.name}: it is a program, not a package.",
                "Compile it first.",
            )
        check_seal(self, engine, graph, settings)
        set_spin(settings)
        package = require("torch._inductor.package", "open an AOTInductor package")
        try:
            with hushed():
                model = package.load_package(str(engine), num_runners=settings.streams)
        except Exception as error:  # as in compile
            remedy = "Compile it again."
            raise engine_error(self.name, f"open {engine.name}", error, remedy) from error
        return InductorSession(model, Guard(signature), settings.threads)


def _configs(settings: Settings) -> dict[str, Any]:
    return {
        "freezing": True,
        "cpp.threads": settings.threads,
        # One g++ at a time in this process: no pool of helpers that outlives the call.
        "compile_threads": 1,
        "force_layout_optimization": settings.layout is Layout.CHANNELS_LAST,
    }


@final
class InductorSession:
    """A loaded package."""

    def __init__(self, model: Any, guard: Guard, threads: int) -> None:
        self.signature: Signature = guard.signature
        # The loader itself: the wrapper around it parses the call's tree at each request.
        self._loader: Any = model.loader
        self._guard = guard
        self._threads = threads
        self._names = [spec.name for spec in self.signature.outputs]
        use_threads(threads)

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """See `Session.run`."""
        loader = self._loader
        if loader is None:
            raise EngineError("The session is closed.", "Open the engine again.")
        tensors = [to_torch(array) for array in self._guard.admit(inputs)]
        use_threads(self._threads)
        try:
            answers: list[torch.Tensor] = loader.run(tensors)
        except RuntimeError as error:
            remedy = "Check the network on these inputs."
            raise engine_error(InductorRuntime.name, "run", error, remedy) from error
        return {n: to_numpy(answer) for n, answer in zip(self._names, answers, strict=True)}

    def layers(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[LayerTime, ...]:
        """Nothing: layers are fused into loops of generated code that no profiler names."""
        self._guard.admit(inputs)
        return ()

    def close(self) -> None:
        self._loader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

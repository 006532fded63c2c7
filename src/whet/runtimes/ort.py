"""ONNX Runtime on its CPU provider.

`compile` lets ONNX Runtime rewrite the graph for this CPU and writes the
result (``engine.onnx``, large weights in ``engine.data``); `open` loads it with
rewriting switched off, so that a start pays for no optimisation twice. The
graph's own file can be opened as well; then it is rewritten at each start.

What each field of `Settings` becomes:

========================  ====================================================
``threads``               ``intra_op_num_threads`` (the caller's thread is one of
                          them; sequential execution, no inter-op pool)
``pin``                   ``session.intra_op_thread_affinities``: worker *i* on the
                          *i*-th further core allowed; the caller's thread is left alone
``level``                 ``graph_optimization_level`` (baked)
``fixed``                 free-dimension overrides by name (baked)
``arena``                 ``enable_cpu_mem_arena``
``spin``                  ``session.intra_op.allow_spinning``
``packing``               ``session.disable_prepacking``
========================  ====================================================

``precision``, ``layout`` and ``streams`` are not honoured: on x86 the provider
computes in the graph's own types and chooses blocked layouts itself, and
requests that overlap share the one thread pool. Nor is ``flush_denormals``: the
session entry ``set_denormal_as_zero`` reaches the caller's thread only for the
first session of a process, so it can't be promised.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.evidence import LayerTime
from whet.core.settings import GraphLevel, Settings
from whet.core.spec import Arrays, Signature
from whet.errors import EngineError
from whet.runtimes.base import Availability, check_settings
from whet.runtimes.failure import engine_error
from whet.runtimes.guard import Guard, Port, check_ports, fix_symbols
from whet.runtimes.ort_profile import profile
from whet.runtimes.seal import check_seal, is_graph_itself, seal_engine
from whet.runtimes.versions import availability

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["OrtRuntime"]

_PROVIDERS = ["CPUExecutionProvider"]
_LEVELS = {
    GraphLevel.DISABLED: "ORT_DISABLE_ALL",
    GraphLevel.BASIC: "ORT_ENABLE_BASIC",
    GraphLevel.EXTENDED: "ORT_ENABLE_EXTENDED",
    GraphLevel.ALL: "ORT_ENABLE_ALL",
}
# ONNX Runtime's names of element types, where they differ from numpy's.
_DTYPES = {"float": "float32", "double": "float64"}
# Above this a protobuf would pass its 2 GB limit; weights then go into a file of their own.
_INLINE_BYTES = 1 << 30


@final
class OrtRuntime:
    """ONNX Runtime, CPU provider; see the module's table for its settings."""

    name: ClassVar[str] = "onnxruntime"
    reads: ClassVar[frozenset[Format]] = frozenset({Format.ONNX})
    honours: ClassVar[frozenset[str]] = frozenset(
        {"threads", "pin", "level", "fixed", "arena", "spin", "packing"}
    )
    bakes: ClassVar[frozenset[str]] = frozenset({"level", "fixed"})

    def available(self) -> Availability:
        return availability("onnxruntime", "onnxruntime")

    def compile(self, graph: Artifact, settings: Settings, where: Path) -> Path:
        """See `Runtime.compile`; writes ``engine.onnx`` and perhaps ``engine.data``."""
        check_settings(self.name, self.honours, settings)
        fix_symbols(graph.signature, settings.fixed)
        engine, weights = where / "engine.onnx", where / "engine.data"
        ort = _library()
        options = _options(ort, settings)
        _rewrite(ort, options, settings)
        options.optimized_model_filepath = str(engine)
        # Without this, weights that lie outside the graph's file would be referred to by a
        # relative name that means nothing beside the engine.
        if graph.sidecars or _is_large(graph.file):
            key = "session.optimized_model_external_initializers"
            options.add_session_config_entry(f"{key}_file_name", weights.name)
            options.add_session_config_entry(f"{key}_min_size_in_bytes", "1024")
        _load(ort, graph.file, options, f"compile {graph.file.name}")
        if not engine.is_file():
            raise EngineError(
                f"The runtime '{self.name}' wrote no engine for {graph.file.name}.",
                "Open the graph's own file instead.",
            )
        extra = (weights,) if weights.is_file() else ()
        return seal_engine(self, engine, graph, settings, sidecars=extra)

    def open(self, engine: Path, graph: Artifact, settings: Settings) -> OrtSession:
        """See `Runtime.open`."""
        check_settings(self.name, self.honours, settings)
        signature = fix_symbols(graph.signature, settings.fixed)
        own_file = is_graph_itself(engine, graph)
        if not own_file:
            check_seal(self, engine, graph, settings)
        ort = _library()
        options = _options(ort, settings)
        if own_file:
            _rewrite(ort, options, settings)
        else:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = _load(ort, engine, options, f"open {engine.name}")
        inputs, outputs = map(_ports, (session.get_inputs(), session.get_outputs()))
        check_ports(self.name, signature, inputs, outputs)
        return OrtSession(session, Guard(signature), engine, options)


@final
class OrtSession:
    """A loaded graph. ONNX Runtime lets requests overlap; each gets its own buffers."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        guard: Guard,
        engine: Path,
        options: onnxruntime.SessionOptions,
    ) -> None:
        self.signature: Signature = guard.signature
        self._session: onnxruntime.InferenceSession | None = session
        self._guard = guard
        self._engine = engine
        self._options = options
        self._inputs = [spec.name for spec in self.signature.inputs]
        self._outputs = [spec.name for spec in self.signature.outputs]

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """See `Session.run`."""
        session = self._session
        if session is None:
            raise EngineError("The session is closed.", "Open the engine again.")
        arrays = self._guard.admit(inputs)
        try:
            answers = session.run(self._outputs, dict(zip(self._inputs, arrays, strict=True)))
        except Exception as error:  # the engine's errors share no base class of their own
            raise _failed(error) from error
        return dict(zip(self._outputs, answers, strict=True))

    def layers(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[LayerTime, ...]:
        """Profile in a second session that is opened for it; medians of a few requests."""
        if self._session is None:
            raise EngineError("The session is closed.", "Open the engine again.")
        feed = dict(zip(self._inputs, self._guard.admit(inputs), strict=True))
        try:
            ort = _library()
            return profile(ort, self._engine, self._options, _PROVIDERS, feed, self._outputs)
        except Exception as error:  # as in run
            raise _failed(error) from error

    def close(self) -> None:
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _library() -> ModuleType:
    ort = require("onnxruntime", "run a graph on ONNX Runtime")
    ort.disable_telemetry_events()
    return ort


def _failed(error: Exception) -> EngineError:
    return engine_error(OrtRuntime.name, "run", error, "Check the graph on these inputs.")


def _options(ort: ModuleType, settings: Settings) -> onnxruntime.SessionOptions:
    """Everything that may differ from one start to the next."""
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only: what matters is raised
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = settings.arena
    entry = options.add_session_config_entry
    entry("session.intra_op.allow_spinning", str(int(settings.spin)))
    entry("session.disable_prepacking", str(int(not settings.packing)))
    if settings.pin and settings.threads > 1:
        entry("session.intra_op_thread_affinities", _affinities(settings.threads - 1))
    return options


def _affinities(workers: int) -> str:
    """One core per worker thread, counted from 1 as ONNX Runtime does."""
    allowed = sorted(os.sched_getaffinity(0))
    if workers >= len(allowed):
        raise EngineError(
            f"{workers + 1} threads can't be pinned: only {len(allowed)} cores are allowed here.",
            "Ask for fewer threads, or leave pin out.",
        )
    return ";".join(str(core + 1) for core in allowed[1 : workers + 1])


def _rewrite(ort: ModuleType, options: onnxruntime.SessionOptions, settings: Settings) -> None:
    """Everything that decides how the graph is rewritten when it is loaded."""
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[settings.level])
    for symbol, size in settings.fixed.items():
        options.add_free_dimension_override_by_name(symbol, size)


def _is_large(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > _INLINE_BYTES


def _load(
    ort: ModuleType, file: Path, options: onnxruntime.SessionOptions, doing: str
) -> onnxruntime.InferenceSession:
    try:
        return ort.InferenceSession(str(file), options, providers=_PROVIDERS)
    except Exception as error:  # the engine's errors share no base class of their own
        remedy = "Check that the file is whole and that this version knows its operators."
        raise engine_error(OrtRuntime.name, doing, error, remedy) from error


def _ports(nodes: list[onnxruntime.NodeArg]) -> list[Port]:
    ports = []
    for node in nodes:
        element = node.type.removeprefix("tensor(").removesuffix(")")
        shape = tuple(d if isinstance(d, int) else None for d in node.shape)
        ports.append(Port(node.name, _DTYPES.get(element, element), shape))
    return ports

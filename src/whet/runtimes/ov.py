"""OpenVINO on its CPU plugin.

`compile` exports the compiled model as a blob (``engine.blob``) and `open`
imports it, which skips reading, shape inference and graph rewriting. A graph
(ONNX or IR) can be opened by its own file as well, and that is its engine where
the blob isn't the same function (`whet.runtimes.ov_blob`).

What each field of `Settings` becomes:

=====================  =======================================================
``threads``            ``INFERENCE_NUM_THREADS`` = threads × streams
``streams``            ``NUM_STREAMS``, and as many infer requests in the session
``pin``                ``ENABLE_CPU_PINNING``
``precision``          ``INFERENCE_PRECISION_HINT``; always set, since the plugin
                       silently computes in bf16 where the CPU can (baked)
``fixed``              ``Model.reshape`` before compiling (baked)
``round_up``           zeros at the end of the inputs, outputs cut back
                       (`whet.runtimes.padding`)
``flush_denormals``    ``CPU_DENORMALS_OPTIMIZATION``; at one thread it also holds for
                       what the calling thread computes afterwards
=====================  =======================================================

``PERFORMANCE_HINT`` is always ``LATENCY`` and ``SCHEDULING_CORE_TYPE`` stays
``ANY_CORE``. ``layout``, ``level``, ``arena``, ``spin`` and ``packing`` are not
honoured: the plugin chooses layouts itself and has no switch for the others.
Graphs whose weights alone are int8 or int4 get their activations quantised on
the fly (``DYNAMIC_QUANTIZATION_GROUP_SIZE``, 32 by default): that stays on, and
shows in the quality that is measured on the engine.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from whet._optional import require
from whet.core.artifact import Artifact, Format
from whet.core.settings import Precision, Settings
from whet.core.spec import Signature
from whet.errors import EngineError, OptionError, StorageError
from whet.runtimes.base import Availability, check_settings
from whet.runtimes.failure import engine_error
from whet.runtimes.guard import Guard, Port, check_ports, fix_symbols, widen_bfloat16
from whet.runtimes.ov_blob import same_function
from whet.runtimes.ov_session import Loaded, OpenVinoSession
from whet.runtimes.ov_sizes import SizeCheck
from whet.runtimes.padding import Padding
from whet.runtimes.seal import check_seal, is_graph_itself, seal_engine
from whet.runtimes.versions import availability

if TYPE_CHECKING:
    import openvino

__all__ = ["OpenVinoRuntime"]

_DEVICE = "CPU"
_PRECISIONS = {Precision.FP32: "f32", Precision.BF16: "bf16", Precision.FP16: "f16"}
# OpenVINO's names of element types in numpy's words.
_DTYPES = {"f32": "float32", "f64": "float64", "f16": "float16", "boolean": "bool"}
_INTEGERS = {"i": "int", "u": "uint"}


@final
class OpenVinoRuntime:
    """OpenVINO, CPU plugin; see the module's table for its settings."""

    name: ClassVar[str] = "openvino"
    reads: ClassVar[frozenset[Format]] = frozenset({Format.ONNX, Format.OPENVINO})
    honours: ClassVar[frozenset[str]] = frozenset(
        {"threads", "streams", "pin", "precision", "fixed", "round_up", "flush_denormals"}
    )
    bakes: ClassVar[frozenset[str]] = frozenset({"precision", "fixed"})

    def available(self) -> Availability:
        return availability("openvino", "openvino")

    def compile(self, graph: Artifact, settings: Settings, where: Path) -> Path:
        """See `Runtime.compile`; writes ``engine.blob``, if that is any good."""
        check_settings(self.name, self.honours, settings)
        compiled = _compile_graph(graph, settings, f"compile {graph.file.name}")
        engine = where / "engine.blob"
        _export(compiled, engine)
        if not same_function(
            compiled,
            functools.partial(_import_model, engine, _config(settings)),
            functools.partial(_core().read_model, graph.path),
            fix_symbols(graph.signature, settings.fixed),
        ):
            engine.unlink()
            return graph.file
        return seal_engine(self, engine, graph, settings)

    def open(self, engine: Path, graph: Artifact, settings: Settings) -> OpenVinoSession:
        """See `Runtime.open`."""
        check_settings(self.name, self.honours, settings)
        signature = widen_bfloat16(fix_symbols(graph.signature, settings.fixed))
        if is_graph_itself(engine, graph):
            load = functools.partial(_compile_graph, graph, settings, f"open {engine.name}")
        else:
            check_seal(self, engine, graph, settings)
            load = functools.partial(_import_blob, engine, settings)
        loaded = load()
        model = loaded.model
        inputs, outputs = (
            _ports(nodes, {spec.name for spec in specs})
            for nodes, specs in (
                (model.inputs, signature.inputs),
                (model.outputs, signature.outputs),
            )
        )
        check_ports(self.name, signature, inputs, outputs)
        _check_precision(model, settings)
        padding = Padding(signature, settings.round_up) if settings.round_up else None
        return OpenVinoSession(
            loaded,
            Guard(signature),
            settings.streams,
            load,
            padding=padding,
            sizes=_size_check(graph, signature, settings),
        )


@functools.cache
def _core() -> openvino.Core:
    """One per process: it holds the loaded plugin, and is safe to share between threads."""
    return require("openvino", "run a graph on OpenVINO").Core()


def _config(settings: Settings) -> dict[str, object]:
    precision = _PRECISIONS[settings.precision]
    able = {name.lower() for name in _core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")}
    if settings.precision is not Precision.FP32 and str(settings.precision) not in able:
        raise OptionError(
            f"This CPU can't compute in {settings.precision} on OpenVINO.",
            "Ask for precision fp32.",
        )
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": settings.threads * settings.streams,
        "NUM_STREAMS": settings.streams,
        "ENABLE_CPU_PINNING": settings.pin,
        "CPU_DENORMALS_OPTIMIZATION": settings.flush_denormals,
    }


def _compile_graph(
    graph: Artifact, settings: Settings, doing: str, *, profile: bool = False
) -> Loaded:
    signature = fix_symbols(graph.signature, settings.fixed)
    config = _config(settings) | {"PERF_COUNT": profile}
    remedy = "Check that the file is whole and that this version knows its operators."
    try:
        model = _core().read_model(graph.path)
        if settings.fixed:
            model.reshape(_shapes(signature))
        return Loaded(_core().compile_model(model, _DEVICE, config))
    except (RuntimeError, ValueError) as error:  # frontends raise RuntimeErrors of their own
        raise engine_error(OpenVinoRuntime.name, doing, error, remedy) from error


def _export(compiled: Loaded, engine: Path) -> None:
    stream = io.BytesIO()  # the only kind of stream that the plugin writes to
    try:
        compiled.model.export_model(stream)
        engine.write_bytes(stream.getbuffer())
    except OSError as error:
        raise StorageError(
            f"The engine can't be written to {engine}: {error.strerror}.", "Free some space."
        ) from error
    except RuntimeError as error:
        remedy = "Open the graph's own file instead."
        raise engine_error(OpenVinoRuntime.name, "export the engine", error, remedy) from error


def _import_blob(engine: Path, settings: Settings, *, profile: bool = False) -> Loaded:
    """Import a blob whose seal has been checked."""
    try:
        return _import_model(engine, _config(settings) | {"PERF_COUNT": profile})
    except (RuntimeError, ValueError, OSError) as error:
        remedy = "Compile it again."
        raise engine_error(OpenVinoRuntime.name, f"open {engine.name}", error, remedy) from error


def _import_model(engine: Path, config: dict[str, object]) -> Loaded:
    """Import a blob; OpenVINO's own errors.

    The file is mapped, not read: constants then stay in the page cache, where
    processes that open the same engine share them. The model reads from the
    mapping without holding it, so the two go together.
    """
    tensor_of = require("openvino", "run a graph on OpenVINO").Tensor
    mapped = np.memmap(engine, dtype=np.uint8, mode="c")
    blob = tensor_of(mapped, shared_memory=True)
    return Loaded(_core().import_model(blob, _DEVICE, config), mapping=mapped)


def _size_check(graph: Artifact, signature: Signature, settings: Settings) -> SizeCheck | None:
    """Needed where the plugin would lose an error: one thread, and sizes that differ.

    An engine whose graph is gone is opened all the same, without the check.
    """
    dynamic = any(isinstance(dim, str) for spec in signature.inputs for dim in spec.shape)
    if not dynamic or settings.threads * settings.streams > 1 or not graph.file.is_file():
        return None
    return SizeCheck(functools.partial(_core().read_model, graph.path), signature)


def _shapes(signature: Signature) -> dict[str, list[int]]:
    return {
        spec.name: [d if isinstance(d, int) else -1 for d in spec.shape]
        for spec in signature.inputs
    }


def _check_precision(compiled: openvino.CompiledModel, settings: Settings) -> None:
    """The plugin may fall back without a word; a candidate must be what it says it is."""
    have = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if have != _PRECISIONS[settings.precision]:
        raise EngineError(
            f"OpenVINO computes in {have}, not in {settings.precision} as asked.",
            "Ask for precision fp32.",
        )


def _ports(nodes: list[openvino.ConstOutput], wanted: Collection[str]) -> list[Port]:
    """Ports under the names that the graph gave them; bf16 stands as the float32 we return.

    A port has several names where an operator that does nothing was taken out: those
    of the values on both sides of it. Those that are wanted count, each of them.
    """
    ports = []
    for node in nodes:
        names = node.get_names()
        known = sorted(names.intersection(wanted)) or [min(names, default="")]
        shape = node.get_partial_shape()
        sizes = (
            None
            if shape.rank.is_dynamic
            else tuple(d.get_length() if d.is_static else None for d in shape)
        )
        dtype = _dtype(node.get_element_type().get_type_name())
        ports += [Port(name, dtype, sizes) for name in known]
    return ports


def _dtype(name: str) -> str:
    if name == "bf16":
        return "float32"
    if name[0] in _INTEGERS and name[1:].isdigit():
        return _INTEGERS[name[0]] + name[1:]
    return _DTYPES.get(name, name)

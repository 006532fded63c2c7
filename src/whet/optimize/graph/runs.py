"""Running a graph as a reference: ONNX Runtime with every rewriting off.

What is compared here is what the graph says, not what a runtime makes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.spec import Arrays, Signature
from whet.measure.scales import scales_of
from whet.runtimes.failure import engine_error

if TYPE_CHECKING:
    import onnx

# Where we put the graph is nothing to the user.
_OWN_FILE = re.compile(r"Load model from \S+ failed:\s*(Fatal error: )?")
_TINY = 1e-12
_REMEDY = "Write what it names with operators of ONNX's own, or leave it out of the network."

__all__ = ["largest_difference", "run_graph", "run_graph_on", "run_proto", "synthetic"]


def run_graph(graph: Artifact, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
    """Outputs by name.

    Raises:
        EngineError: the graph can't be loaded or run.
    """
    (found,) = _run(graph.file, [inputs])
    return found


def run_graph_on(graph: Artifact, batches: Iterable[Arrays]) -> list[Arrays]:
    """As `run_graph`, for several batches with one loading.

    Raises:
        EngineError: the graph can't be loaded or run.
    """
    return _run(graph.file, batches)


def run_proto(
    model: onnx.ModelProto,
    inputs: Mapping[str, NDArray[np.generic]],
    outputs: Iterable[str] | None = None,
) -> Arrays:
    """As `run_graph`, for a graph in memory that is small enough to be serialised.

    Raises:
        EngineError: the graph can't be loaded or run.
    """
    (found,) = _run(model.SerializeToString(), [inputs], outputs)
    return found


def _run(
    source: Path | bytes,
    batches: Iterable[Mapping[str, NDArray[np.generic]]],
    outputs: Iterable[str] | None = None,
) -> list[Arrays]:
    ort = require("onnxruntime", "run a graph")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    try:
        session = ort.InferenceSession(
            source if isinstance(source, bytes) else str(source),
            options,
            providers=["CPUExecutionProvider"],
        )
        names = list(outputs or (value.name for value in session.get_outputs()))
        found = [session.run(names, dict(inputs)) for inputs in batches]
    except Exception as error:  # its errors share no public base class
        said = RuntimeError(_OWN_FILE.sub("", str(error)))
        raise engine_error("onnxruntime", "run the graph", said, _REMEDY) from error
    return [dict(zip(names, answers, strict=True)) for answers in found]


def synthetic(signature: Signature, sizes: Mapping[str, int], seed: int = 0) -> Arrays:
    """Inputs that any network accepts: normal floats, all bytes, and the ids 0 and 1.

    Symbols without a size get 2.
    """
    generator = np.random.default_rng(seed)
    arrays: Arrays = {}
    for spec in signature.inputs:
        shape = tuple(d if isinstance(d, int) else sizes.get(d, 2) for d in spec.shape)
        kind = np.dtype(spec.dtype)
        if kind == np.uint8:
            arrays[spec.name] = generator.integers(0, 256, shape, dtype=np.uint8)
        elif kind.kind in "iu":
            # A mask must keep the first token; 1 is also a valid id and segment.
            arrays[spec.name] = np.ones(shape, kind)
        elif kind.kind == "b":
            arrays[spec.name] = np.ones(shape, kind)
        else:
            arrays[spec.name] = generator.standard_normal(shape).astype(kind)
    return arrays


def largest_difference(reference: Arrays, candidate: Arrays) -> float:
    """Largest difference of any output, as a share of the values around it (`whet.measure.scales`).

    A mask at -1e9 thus hides nothing beside it. Of whole numbers: as a share of the largest.
    Infinite where a shape differs or a value isn't finite on one side only.
    """
    return max((_apart(want, candidate[name]) for name, want in reference.items()), default=0.0)


def _apart(want: NDArray[np.generic], have: NDArray[np.generic]) -> float:
    if want.shape != have.shape:
        return float("inf")
    if want.size == 0:
        return 0.0
    a, b = (np.atleast_1d(x).astype(np.float64) for x in (want, have))
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return float("inf")
    a, b = np.where(finite, a, 0.0), np.where(finite, b, 0.0)
    if want.dtype.kind in "fc":
        everything = slice(None)
        around = np.maximum(scales_of(a, [everything]).of(everything, a.shape), np.abs(a))
    else:
        around = np.maximum(np.abs(a).max(), _TINY)
    return float((np.abs(a - b) / around).max())

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
from whet.runtimes.failure import engine_error

if TYPE_CHECKING:
    import onnx

# Where we put the graph is nothing to the user.
_OWN_FILE = re.compile(r"Load model from \S+ failed:\s*(Fatal error: )?")
_REMEDY = "Write what it names with operators of ONNX's own, or leave it out of the network."

__all__ = ["largest_difference", "run_graph", "run_proto", "synthetic"]


def run_graph(graph: Artifact, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
    """Outputs by name.

    Raises:
        EngineError: the graph can't be loaded or run.
    """
    return _run(graph.file, inputs)


def run_proto(
    model: onnx.ModelProto,
    inputs: Mapping[str, NDArray[np.generic]],
    outputs: Iterable[str] | None = None,
) -> Arrays:
    """As `run_graph`, for a graph in memory that is small enough to be serialised.

    Raises:
        EngineError: the graph can't be loaded or run.
    """
    return _run(model.SerializeToString(), inputs, outputs)


def _run(
    source: Path | bytes,
    inputs: Mapping[str, NDArray[np.generic]],
    outputs: Iterable[str] | None = None,
) -> Arrays:
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
        found = session.run(names, dict(inputs))
    except Exception as error:  # its errors share no public base class
        said = RuntimeError(_OWN_FILE.sub("", str(error)))
        raise engine_error("onnxruntime", "run the graph", said, _REMEDY) from error
    return dict(zip(names, found, strict=True))


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
    """Largest difference of any output, relative to the reference's largest value there.

    Infinite where a shape differs or a value is NaN on one side only.
    """
    worst = 0.0
    for name, want in reference.items():
        have = candidate[name]
        if want.shape != have.shape:
            return float("inf")
        if want.size == 0:
            continue
        a, b = want.astype(np.float64), have.astype(np.float64)
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return float("inf")
        good = np.isfinite(a)
        if not good.any():
            continue
        scale = max(float(np.abs(a[good]).max()), 1e-12)
        worst = max(worst, float(np.abs(a[good] - b[good]).max()) / scale)
    return worst

"""Measured peaks of this machine: ``python -m whet.measure.ceilings THREADS [PRECISION]``.

Square matrix products in OpenVINO, whose kernels come nearest to what the hardware can do; without
it, numpy's for fp32 only. Eight products in a row, so that converting the input
weighs nothing. A precision counts only where the engine says that it ran in it. Reading is
a dot product of a block far larger than the caches with itself, one block per thread. Each
figure is the best of several repeats: a ceiling is what was reached once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet._optional import installed, require
from whet.core.evidence import Ceilings

__all__ = ["measure_ceilings"]

# The small one is over within a time slice, so a busy machine doesn't hide the peak.
_SIZES = (1024, 512, 256)
_CHAIN = 8
_SECONDS = 0.3
_REPEATS = 3
_BLOCK = 32 << 20  # float32 numbers: 128 MiB
_NUMPY_SIZE = 1024

# What `runtimePrecision` reads where the product ran in that precision.
_RAN_IN = {"f32": {"f32"}, "bf16": {"bf16"}, "int8": {"i8", "u8"}}


def measure_ceilings(threads: int, only: str | None = None) -> Ceilings:
    """Operations per second by precision (a multiply and an add are two) and bytes read per second.

    Args:
        threads: that run at once.
        only: ``"fp32"``, ``"bf16"`` or ``"int8"``: this figure alone, in a third of the time.
    """
    kinds = {"fp32": "f32", "bf16": "bf16", "int8": "int8"}
    found = {
        name: _openvino(kind, threads)
        for name, kind in kinds.items()
        if only in (None, name) and installed("openvino")
    }
    if only in (None, "fp32") and found.get("fp32") is None:
        found["fp32"] = _numpy(threads)
    return Ceilings(
        fp32_ops_per_s=found.get("fp32"),
        bf16_ops_per_s=found.get("bf16"),
        int8_ops_per_s=found.get("int8"),
        read_bytes_per_s=_read(threads) if only is None else None,
    )


def _best_s(run: Callable[[], object]) -> float:
    """The shortest run within the time given, after one outside the clock."""
    run()
    best, begin, done = float("inf"), time.perf_counter(), 0
    while done < _REPEATS or time.perf_counter() - begin < _SECONDS:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
        done += 1
    return best


def _openvino(kind: str, threads: int) -> float | None:
    ov = require("openvino", "measure the machine's ceilings")
    core = ov.Core()
    if kind == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if kind == "bf16" else "f32",
    }
    rates = []
    for size in _SIZES:
        compiled = core.compile_model(_products(size, quantised=kind == "int8"), "CPU", options)
        ran = {
            node.get_rt_info()["runtimePrecision"].astype(str)
            for node in compiled.get_runtime_model().get_ops()
            if node.get_rt_info()["layerType"].astype(str) in ("FullyConnected", "MatMul")
        }
        if not ran or not ran <= _RAN_IN[kind]:
            continue
        request = compiled.create_infer_request()
        request.set_input_tensor(ov.Tensor(np.full((size, size), 0.5, np.float32)))
        rates.append(2.0 * size**3 * _CHAIN / _best_s(request.infer))
    return max(rates, default=None)


def _products(size: int, *, quantised: bool) -> object:
    """A chain of products with constant weights, with quantisers before each where asked."""
    ov = require("openvino", "measure the machine's ceilings")
    ops = require("openvino.opset13", "measure the machine's ceilings")
    rng = np.random.default_rng(0)

    def constant(value: float | NDArray[np.float32]) -> object:
        return ops.constant(np.asarray(value, np.float32))

    x = ops.parameter([size, size], np.float32, name="x")
    flow: object = x
    for _ in range(_CHAIN):
        # Positive weights of mean 1 / size keep the values of the chain where they began.
        weights = rng.uniform(0, 2 / size, (size, size)).astype(np.float32)
        kernel = constant(weights)
        if quantised:
            top = constant(2 / size)
            bottom = constant(-2 / size)
            kernel = ops.fake_quantize(kernel, bottom, top, bottom, top, 255)
            ends = constant(0.0), constant(2.0)
            flow = ops.fake_quantize(flow, *ends, *ends, 256)
        flow = ops.matmul(flow, kernel, False, False)
    return ov.Model([flow], [x], "ceiling")


def _numpy(threads: int) -> float:
    blocks = [np.full((_NUMPY_SIZE, _NUMPY_SIZE), 0.5, np.float32) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = _best_s(lambda: list(pool.map(lambda block: block @ block, blocks)))
    return 2.0 * _NUMPY_SIZE**3 * threads / seconds


def _read(threads: int) -> float:
    blocks = [np.ones(_BLOCK, np.float32) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = _best_s(lambda: list(pool.map(lambda block: float(block @ block), blocks)))
    return sum(block.nbytes for block in blocks) / seconds


if __name__ == "__main__":
    _found = measure_ceilings(int(sys.argv[1]), *sys.argv[2:3])
    sys.stdout.write(msgspec.json.encode(_found).decode() + "\n")

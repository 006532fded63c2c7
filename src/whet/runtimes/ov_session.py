"""An OpenVINO engine at work: a pool of infer requests and as few copies as are safe.

**Inputs.** An infer request can read straight from a caller's array, if that
is contiguous and writable; binding it costs a few microseconds. Where all
shapes are fixed, the request's own input tensors are bound once and small
inputs are copied into them, which is cheaper. **Outputs** are always copied,
so that the caller owns them and the next request can't overwrite them.

**Threads.** Each infer request serves one caller at a time; there are as many
as the engine has streams, and further callers wait for one.
"""

from __future__ import annotations

import queue
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.evidence import LayerTime
from whet.core.spec import Arrays, Signature
from whet.errors import EngineError
from whet.runtimes.failure import engine_error
from whet.runtimes.guard import Guard

if TYPE_CHECKING:
    import openvino

__all__ = ["Load", "Loaded", "OpenVinoSession"]

# Copying this much into a bound tensor takes about as long as binding another one.
_COPY_BYTES = 128 << 10
_WARM_UP, _REQUESTS = 2, 5
_PRECISIONS = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "uint8"}


class Loaded(NamedTuple):
    """A compiled model, and the mapped file that it reads its constants from, if any."""

    model: openvino.CompiledModel
    mapping: NDArray[np.uint8] | None = None


class Load(Protocol):
    """Loads the engine once more, with or without profiling."""

    def __call__(self, *, profile: bool = False) -> Loaded:
        """See the class."""
        ...


@final
class _Request:
    """One infer request with its ports in the signature's order; serves one caller at a time."""

    def __init__(self, model: openvino.CompiledModel, signature: Signature) -> None:
        self._tensor = require("openvino", "run a graph on OpenVINO").Tensor
        self.infer = model.create_infer_request()
        inputs, outputs = _indices(model.inputs), _indices(model.outputs)
        self._inputs = [inputs[spec.name] for spec in signature.inputs]
        self._outputs = [(spec.name, outputs[spec.name]) for spec in signature.outputs]
        # Views on the request's own tensors; their memory stays in place while shapes are fixed.
        fixed = all(isinstance(d, int) for spec in signature.inputs for d in spec.shape)
        self._bound = [
            self.infer.get_input_tensor(index).data
            if fixed and self.infer.get_input_tensor(index).byte_size <= _COPY_BYTES
            else None
            for index in self._inputs
        ]

    def answer(self, arrays: list[NDArray[np.generic]]) -> Arrays:
        infer = self.infer
        for index, bound, array in zip(self._inputs, self._bound, arrays, strict=True):
            if bound is not None:
                np.copyto(bound, array)
            else:
                infer.set_input_tensor(index, self._tensor(_lendable(array), shared_memory=True))
        infer.infer(share_outputs=True)
        return {name: _owned(infer.get_output_tensor(index)) for name, index in self._outputs}


@final
class OpenVinoSession:
    """A loaded engine; see the module for how it answers."""

    def __init__(self, loaded: Loaded, guard: Guard, streams: int, load: Load) -> None:
        self.signature: Signature = guard.signature
        self._guard = guard
        self._load = load
        self._pool: queue.SimpleQueue[_Request] | None = queue.SimpleQueue()
        for _ in range(streams):
            self._pool.put(_Request(loaded.model, self.signature))
        # Kept until the session itself is gone: a request that still runs reads from the mapping.
        self._loaded = loaded

    @property
    def compiled(self) -> openvino.CompiledModel:
        """The compiled model, for its properties."""
        return self._loaded.model

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """See `Session.run`."""
        pool = self._pool
        if pool is None:
            raise EngineError("The session is closed.", "Open the engine again.")
        arrays = self._guard.admit(inputs)
        request = pool.get()
        try:
            return request.answer(arrays)
        except (RuntimeError, ValueError) as error:
            remedy = "Check the graph on these inputs."
            raise engine_error("openvino", "run", error, remedy) from error
        finally:
            pool.put(request)

    def layers(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[LayerTime, ...]:
        """Profile in a second copy of the engine, loaded for it; medians of a few requests."""
        if self._pool is None:
            raise EngineError("The session is closed.", "Open the engine again.")
        arrays = self._guard.admit(inputs)
        loaded = self._load(profile=True)
        request = _Request(loaded.model, self.signature)
        rounds: list[list[openvino.ProfilingInfo]] = []
        try:
            for _ in range(_WARM_UP + _REQUESTS):
                request.answer(arrays)
                rounds.append(request.infer.get_profiling_info())
        except RuntimeError as error:
            remedy = "Check the graph on these inputs."
            raise engine_error("openvino", "profile", error, remedy) from error
        return tuple(
            LayerTime(
                name=steps[0].node_name,
                kind=steps[0].node_type,
                precision=_precision(steps[0].exec_type),
                ms=statistics.median(step.real_time.total_seconds() * 1e3 for step in steps),
            )
            for steps in zip(*rounds[_WARM_UP:], strict=True)
            if steps[0].status.name == "EXECUTED"
        )

    def close(self) -> None:
        # Whoever is waiting holds the pool itself and is still served.
        self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _indices(ports: list[openvino.ConstOutput]) -> dict[str, int]:
    return {name: index for index, port in enumerate(ports) for name in port.get_names()}


def _lendable(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The array itself where the engine can read it in place, else a copy."""
    flags = array.flags
    return array if flags.c_contiguous and flags.writeable else array.copy(order="C")


def _owned(tensor: openvino.Tensor) -> NDArray[np.generic]:
    if tensor.element_type.get_type_name() == "bf16":
        # The upper half of a float32 has exactly bfloat16's bits.
        halves: NDArray[np.uint16] = tensor.data.view(np.uint16)
        return np.left_shift(halves, 16, dtype=np.uint32).view(np.float32)
    answer: NDArray[np.generic] = tensor.data.copy()
    return answer


def _precision(exec_type: str) -> str:
    """The last part of e.g. ``brgconv_avx512_amx_I8``."""
    word = exec_type.rpartition("_")[2].lower()
    return _PRECISIONS.get(word, word)

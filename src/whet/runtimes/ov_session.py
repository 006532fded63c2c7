"""An OpenVINO engine at work: a pool of infer requests and as few copies as are safe.

**Inputs.** An infer request can read straight from a caller's array, if that
is contiguous and writable; binding it costs a few microseconds. Where all
shapes are fixed, the request's own input tensors are bound once and small
inputs are copied into them, which is cheaper. **Outputs** are always copied,
so that the caller owns them and the next request can't overwrite them.

**Sizes.** The plugin prepares a graph with dynamic sizes anew whenever a size
changes; `Padding` keeps the sizes few. A size that can't be rounded up because
the network ends there (the last position of an embedding) runs as it is.

**Threads.** Each infer request serves one caller at a time; there are as many
as the engine has streams, and further callers wait for one.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, final

import numpy as np
from numpy.typing import NDArray

from whet._optional import require
from whet.core.evidence import LayerTime
from whet.core.spec import Arrays, Signature
from whet.errors import EngineError
from whet.runtimes.failure import engine_error
from whet.runtimes.guard import Guard
from whet.runtimes.ov_sizes import SizeCheck
from whet.runtimes.padding import Padding

if TYPE_CHECKING:
    import openvino

__all__ = ["Load", "Loaded", "OpenVinoSession"]

# Copying this much into a bound tensor takes about as long as binding another one.
_COPY_BYTES = 128 << 10
_WARM_UP, _REQUESTS = 3, 20
_PRECISIONS = {"f32": "fp32", "f16": "fp16", "i8": "int8", "u8": "uint8"}


class Loaded(NamedTuple):
    """A compiled model, and the mapped file that it reads its constants from, if any."""

    model: openvino.CompiledModel
    mapping: NDArray[np.uint8] | None = None


class _Opened(NamedTuple):
    """All that a session holds of its engine, so that closing can drop it in one step.

    A request that is at work when the session is closed keeps it alive until it has answered.
    """

    loaded: Loaded
    pool: queue.SimpleQueue[_Request]
    sizes: SizeCheck | None


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
        self._outputs = [outputs[spec.name] for spec in signature.outputs]
        self._names = [spec.name for spec in signature.outputs]
        self._owned = [_take(model.outputs[index]) for index in self._outputs]
        # Views on the request's own tensors; their memory stays in place while shapes are fixed.
        fixed = not any(
            port.get_partial_shape().is_dynamic for port in (*model.inputs, *model.outputs)
        )
        own_inputs = [self.infer.get_input_tensor(i) for i in self._inputs] if fixed else []
        own_outputs = [self.infer.get_output_tensor(i) for i in self._outputs] if fixed else []
        self._lent_in = (
            [t.data if t.byte_size <= _COPY_BYTES else None for t in own_inputs]
            if fixed
            else [None] * len(self._inputs)
        )
        self._lent_out = [t.data for t in own_outputs]

    def answer(self, arrays: list[NDArray[np.generic]]) -> Arrays:
        infer = self.infer
        # The engine borrows these until it has answered: a copy made only for the call
        # must live as long, or it computes with whatever stands there by then.
        borrowed: list[NDArray[np.generic]] = []
        for index, lent, array in zip(self._inputs, self._lent_in, arrays, strict=True):
            if lent is not None:
                np.copyto(lent, array)
            else:
                lendable = _lendable(array)
                borrowed.append(lendable)
                infer.set_input_tensor(index, self._tensor(lendable, shared_memory=True))
        infer.infer(share_outputs=True)
        views = self._lent_out or [infer.get_output_tensor(index).data for index in self._outputs]
        return {
            name: own(view) for name, own, view in zip(self._names, self._owned, views, strict=True)
        }


@final
class OpenVinoSession:
    """A loaded engine; see the module for how it answers."""

    def __init__(
        self,
        loaded: Loaded,
        guard: Guard,
        streams: int,
        load: Load,
        padding: Padding | None = None,
        sizes: SizeCheck | None = None,
    ) -> None:
        self.signature: Signature = guard.signature
        self._guard = guard
        self._load = load
        self._padding = padding
        pool: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        for _ in range(streams):
            pool.put(_Request(loaded.model, self.signature))
        self._opened: _Opened | None = _Opened(loaded, pool, sizes)

    @property
    def compiled(self) -> openvino.CompiledModel:
        """The compiled model, for its properties."""
        return self._open().loaded.model

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        """See `Session.run`."""
        opened = self._open()
        arrays = self._guard.admit(inputs)
        request = opened.pool.get()
        try:
            return self._answer(request, opened.sizes, arrays)
        except (RuntimeError, ValueError) as error:
            remedy = "Check the graph on these inputs."
            raise engine_error("openvino", "run", error, remedy) from error
        finally:
            opened.pool.put(request)

    def _open(self) -> _Opened:
        opened = self._opened
        if opened is None:
            raise EngineError("The session is closed.", "Open the engine again.")
        return opened

    def _answer(
        self, request: _Request, check: SizeCheck | None, arrays: list[NDArray[np.generic]]
    ) -> Arrays:
        padding = self._padding
        sizes = padding.sizes(arrays) if padding is not None else None
        if padding is None or sizes is None:
            return _checked(request, check, arrays)
        try:
            return padding.crop(_checked(request, check, padding.pad(arrays)), sizes)
        except (RuntimeError, ValueError):
            # Says what is wrong, unless padding alone was.
            return _checked(request, check, arrays)

    def layers(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[LayerTime, ...]:
        """Profile in a second copy of the engine, loaded for it; means of a few requests."""
        check = self._open().sizes
        arrays = self._guard.admit(inputs)
        loaded = self._load(profile=True)
        request = _Request(loaded.model, self.signature)
        try:
            for _ in range(_WARM_UP):
                self._answer(request, check, arrays)
            before = request.infer.get_profiling_info()
            for _ in range(_REQUESTS):
                self._answer(request, check, arrays)
            after = request.infer.get_profiling_info()
        except RuntimeError as error:
            remedy = "Check the graph on these inputs."
            raise engine_error("openvino", "profile", error, remedy) from error
        return tuple(
            LayerTime(
                name=new.node_name,
                kind=new.node_type,
                precision=_precision(new.exec_type),
                ms=_mean_ms(old, new),
            )
            for old, new in zip(before, after, strict=True)
            if _is_layer(new)
        )

    def close(self) -> None:
        # Whoever is waiting holds what it needs and is still served.
        self._opened = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _checked(
    request: _Request, check: SizeCheck | None, arrays: list[NDArray[np.generic]]
) -> Arrays:
    if check is not None:
        check.admit(arrays)
    return request.answer(arrays)


def _is_layer(info: openvino.ProfilingInfo) -> bool:
    """Whether the node computes: not a port of the graph, and not merged into another node.

    The plugin calls a node that took less than a whole microsecond "not run",
    so a small network on a fast machine may have no other; those stay, at 0 ms.
    """
    return info.status.name != "OPTIMIZED_OUT" and info.node_type not in ("Parameter", "Result")


def _mean_ms(old: openvino.ProfilingInfo, new: openvino.ProfilingInfo) -> float:
    """Mean over the requests after the warm-up.

    The plugin keeps means (in whole µs) over all requests since it was loaded,
    and the first of these generates code.
    """
    sums: list[float] = [
        info.real_time.total_seconds() * 1e3 * count
        for info, count in ((old, _WARM_UP), (new, _WARM_UP + _REQUESTS))
    ]
    return max(0.0, sums[1] - sums[0]) / _REQUESTS


def _indices(ports: list[openvino.ConstOutput]) -> dict[str, int]:
    return {name: index for index, port in enumerate(ports) for name in port.get_names()}


def _lendable(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The array itself where the engine can read it in place, else a copy."""
    flags = array.flags
    return array if flags.c_contiguous and flags.writeable else array.copy(order="C")


def _take(port: openvino.ConstOutput) -> Callable[[NDArray[np.generic]], NDArray[np.generic]]:
    """How to make the caller's own array from a view on an output."""
    return _widened if port.get_element_type().get_type_name() == "bf16" else _copied


def _copied(view: NDArray[np.generic]) -> NDArray[np.generic]:
    return view.copy()


def _widened(view: NDArray[np.generic]) -> NDArray[np.generic]:
    # The upper half of a float32 has exactly bfloat16's bits.
    halves = view.view(np.uint16).astype(np.uint32)
    return np.left_shift(halves, 16, dtype=np.uint32).view(np.float32)


def _precision(exec_type: str) -> str:
    """The last part of e.g. ``brgconv_avx512_amx_I8``."""
    word = exec_type.rpartition("_")[2].lower()
    return _PRECISIONS.get(word, word)

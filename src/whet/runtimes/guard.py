"""What stands between a caller's arrays and an engine.

`Signature.bind` explains every mistake in words, but costs several
microseconds; a small engine answers in ten. So the door is in two parts:
`Guard.admit` compares dtypes and sizes with a plan that was made when the
session was opened, and only when something differs does it ask
`Signature.bind` to say what. Engines are never shown an array that they did
not promise to take: some of them would read past its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn, final

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Signature, TensorSpec
from whet.errors import EngineError, InputError, OptionError

__all__ = ["Guard", "Port", "check_ports", "fix_symbols", "numpy_dtype", "widen_bfloat16"]

_DTYPES = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
    ]
)


class Port(msgspec.Struct, frozen=True):
    """An input or output as an opened engine states it.

    ``dtype`` is numpy's name or ``None`` where the engine doesn't say; a
    dimension that is not an ``int`` is dynamic; ``shape`` is ``None`` where
    even the rank is unknown.
    """

    name: str
    dtype: str | None
    shape: tuple[int | None, ...] | None


def numpy_dtype(name: str) -> np.dtype[np.generic]:
    """The dtype that a signature names.

    Raises:
        InputError: numpy has no such type (``bfloat16``, 4-bit integers). That
            some package may have registered one of that name doesn't count.
    """
    if name not in _DTYPES:
        raise InputError(
            f"The dtype '{name}' has no counterpart in numpy, so no array can carry it.",
            "Let the graph cast to float32 at its edges.",
        )
    return np.dtype(name)


def fix_symbols(signature: Signature, fixed: Mapping[str, int]) -> Signature:
    """The signature that remains when some symbols get a size.

    Raises:
        OptionError: a symbol that the signature doesn't have, or a size below 1.
    """
    if not fixed:
        return signature
    known = [d for spec in signature.inputs for d in spec.shape if isinstance(d, str)]
    for symbol, size in fixed.items():
        if symbol not in known:
            raise OptionError(
                f"The model has no dynamic size called '{symbol}' to fix.",
                f"It has {', '.join(dict.fromkeys(known)) or 'none'}.",
            )
        if size < 1:
            raise OptionError(f"{symbol}={size} can't run.", "Give a size of 1 or more.")

    def fix(spec: TensorSpec) -> TensorSpec:
        shape = tuple(fixed.get(d, d) if isinstance(d, str) else d for d in spec.shape)
        return msgspec.structs.replace(spec, shape=shape)

    return Signature(tuple(map(fix, signature.inputs)), tuple(map(fix, signature.outputs)))


def widen_bfloat16(signature: Signature) -> Signature:
    """The signature with bfloat16 outputs as float32: numpy has no bfloat16, and float32 holds
    every bfloat16 exactly. For runtimes that can hand such outputs out.
    """
    outputs = (
        msgspec.structs.replace(spec, dtype="float32") if spec.dtype == "bfloat16" else spec
        for spec in signature.outputs
    )
    return Signature(signature.inputs, tuple(outputs))


def check_ports(
    runtime: str, signature: Signature, inputs: Sequence[Port], outputs: Sequence[Port]
) -> None:
    """Compare an opened engine with the signature, names in any order.

    Raises:
        EngineError: the engine takes or gives something else.
    """
    for kind, specs, ports in (
        ("input", signature.inputs, inputs),
        ("output", signature.outputs, outputs),
    ):
        have, want = {port.name: port for port in ports}, {spec.name: spec for spec in specs}
        lost = sorted(set(want) - set(have)) + sorted(
            set(have) - set(want) if kind[0] == "i" else ()
        )
        if lost:
            raise EngineError(
                f"The engine's {kind}s on '{runtime}' are {sorted(have)}, the signature says"
                f" {sorted(want)}.",
                "The file belongs to another model; compile it again.",
            )
        for name, spec in want.items():
            _check_port(runtime, kind, spec, have[name])


def _check_port(runtime: str, kind: str, spec: TensorSpec, port: Port) -> None:
    try:
        numpy_dtype(spec.dtype)
    except InputError as error:
        raise EngineError(error.message, error.remedy) from error
    same_dtype = port.dtype is None or port.dtype == spec.dtype
    same_shape = port.shape is None or (
        len(port.shape) == len(spec.shape)
        and all(
            _same_size(have, want, strict=kind == "input")
            for have, want in zip(port.shape, spec.shape, strict=True)
        )
    )
    if not (same_dtype and same_shape):
        shape = "?" if port.shape is None else [d if d is not None else "?" for d in port.shape]
        raise EngineError(
            f"The engine's {kind} '{port.name}' on '{runtime}' is {port.dtype}{shape}, the"
            f" signature says {spec}.",
            "The file belongs to another model or other settings; compile it again.",
        )


def _same_size(have: int | None, want: int | str, *, strict: bool) -> bool:
    """An input must be fixed or dynamic exactly as promised; an output may be vague."""
    if isinstance(want, str):
        return have is None or not strict
    return have == want or (have is None and not strict)


@final
class Guard:
    """Lets exactly those arrays pass that a signature describes.

    Args:
        signature: what the session takes, symbols that were fixed already replaced.
    """

    __slots__ = ("_plan", "_slots", "signature")

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        slots: dict[str, int] = {}
        plan = []
        for spec in signature.inputs:
            sizes = tuple((axis, d) for axis, d in enumerate(spec.shape) if isinstance(d, int))
            symbols = tuple(
                (axis, slots.setdefault(d, len(slots)))
                for axis, d in enumerate(spec.shape)
                if isinstance(d, str)
            )
            plan.append((spec.name, numpy_dtype(spec.dtype), len(spec.shape), sizes, symbols))
        self._plan = tuple(plan)
        self._slots = len(slots)

    def admit(self, inputs: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """The arrays in the order of the signature.

        Raises:
            InputError: a wrong name, dtype, rank or size, an empty array, or
                something that is no array.
        """
        if len(inputs) != len(self._plan):
            self._refuse(inputs)
        seen = [-1] * self._slots
        arrays = []
        for name, dtype, rank, sizes, symbols in self._plan:
            array = inputs.get(name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != rank:
                self._refuse(inputs)
            shape = array.shape
            for axis, size in sizes:
                if shape[axis] != size:
                    self._refuse(inputs)
            for axis, slot in symbols:
                size = shape[axis]
                if size != seen[slot]:
                    if seen[slot] >= 0 or not size:
                        self._refuse(inputs)
                    seen[slot] = size
            arrays.append(array)
        return arrays

    def _refuse(self, inputs: Mapping[str, NDArray[np.generic]]) -> NoReturn:
        for name, array in inputs.items():
            if not isinstance(array, np.ndarray):
                raise InputError(
                    f"Input '{name}' is a {type(array).__name__}, not a numpy array.",
                    "Convert it with numpy.asarray.",
                )
        self.signature.bind(inputs)
        for name, array in inputs.items():
            if 0 in array.shape:
                raise InputError(
                    f"Input '{name}' is empty: its shape is {array.shape}.",
                    "Give at least one row.",
                )
        raise InputError(
            "An input is not in this machine's byte order.",
            "Convert it with array.astype(array.dtype.newbyteorder('=')).",
        )

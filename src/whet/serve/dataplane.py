"""Requests against the signature of a model, once: what an engine gets needs no further check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays, Signature, TensorSpec
from whet.errors import InputError, OptionError, RequestError
from whet.serve.wire.datatypes import BYTES, datatype_of
from whet.serve.wire.request import Asked, Given, Parameters, Request
from whet.serve.wire.response import Output

__all__ = ["Rawly", "Terms", "Work", "accepted", "answered", "decoded", "terms_of", "wire_spec"]

_MICRO = 1e-6
_LONGEST_US = 10**15  # thirty years: beyond it numbers have no meaning
_LEVELS = 64  # of priority that are told from each other


@dataclass(frozen=True)
class Rawly:
    """How a model takes raw samples beside arrays: pictures or texts, as a BYTES tensor.

    Attributes:
        name: of the input that may be BYTES.
        arrays: from elements to what the engine takes; it may take milliseconds.
        most_rows: of one request; what they come to is not bounded by what is sent.
    """

    name: str
    arrays: Callable[[list[bytes]], Arrays]
    most_rows: int = 1024


@dataclass(frozen=True)
class Work:
    """What a request comes to.

    Attributes:
        rows: that it brings.
        arrays: for the engine; ``None`` where raw samples have to be decoded first.
        raw: those samples.
        outputs: that are asked for, in order.
    """

    rows: int
    arrays: Arrays | None
    raw: list[bytes] | None
    outputs: tuple[Asked, ...]


@dataclass(frozen=True)
class Terms:
    """How a request wants to be treated.

    Attributes:
        level: of priority; 0 is the most important.
        timeout_s: within which it is to be answered; ``None`` where it doesn't say.
    """

    level: int
    timeout_s: float | None


def terms_of(parameters: Parameters, default_level: int = 1) -> Terms:
    """Priority (1 is the highest, 0 the default) and timeout (in microseconds) of a request.

    Raises:
        RequestError: they are no numbers of that kind.
    """
    priority = _whole(parameters, "priority")
    timeout = _whole(parameters, "timeout")
    level = default_level if not priority else min(priority - 1, _LEVELS)
    return Terms(level, min(timeout, _LONGEST_US) * _MICRO if timeout else None)


def _whole(parameters: Parameters, name: str) -> int:
    value = parameters.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RequestError(f"'{name}' is no whole number.", "Give one from 0 on.")
    return value


def accepted(request: Request, signature: Signature, rawly: Rawly | None) -> Work:
    """Check a request against a model.

    Args:
        request: as it was read.
        signature: of the model.
        rawly: how it takes raw samples; ``None`` where it takes arrays only.

    Raises:
        RequestError: names, datatypes or shapes aren't the model's.
    """
    outputs = _outputs(request, signature)
    if not request.inputs:
        raise RequestError("There are no inputs.", "Give the model's inputs.")
    only = request.inputs[0]
    if rawly is not None and only.datatype == BYTES and len(request.inputs) == 1:
        return _raw_work(only, rawly, outputs)
    arrays = {given.name: _array(given) for given in request.inputs}
    try:
        sizes = signature.bind(arrays)
    except InputError as error:
        raise RequestError(error.message, error.remedy) from error
    symbol = signature.batch_symbol
    rows = sizes[symbol] if symbol is not None else 1
    if rows == 0 or any(not array.size for array in arrays.values()):
        raise RequestError("There are no rows to answer.", "Give at least one.")
    return Work(rows, arrays, None, outputs)


def _array(given: Given) -> NDArray[np.generic]:
    if isinstance(given.values, list):
        raise RequestError(
            f"Input '{given.name}' is BYTES, which this model doesn't take there.",
            "Ask for the model's metadata to see what it takes.",
        )
    return given.values


def _raw_work(given: Given, rawly: Rawly, outputs: tuple[Asked, ...]) -> Work:
    if given.name != rawly.name:
        raise RequestError(
            f"There is no input '{given.name}' for raw samples.", f"Call it '{rawly.name}'."
        )
    samples = given.values if isinstance(given.values, list) else []
    if len(given.shape) > 1 and len(samples) != given.shape[0]:  # as some clients write (n, 1)
        raise RequestError(f"Input '{given.name}' has a shape of more than rows.", "Give [rows].")
    if not samples:
        raise RequestError("There are no rows to answer.", "Give at least one.")
    if len(samples) > rawly.most_rows:
        raise RequestError(
            f"{len(samples)} samples are too many; {rawly.most_rows} are taken.",
            "Send fewer at once.",
            status=413,
        )
    return Work(len(samples), None, samples, outputs)


def decoded(samples: list[bytes], rawly: Rawly) -> Arrays:
    """Raw samples as arrays.

    Raises:
        RequestError: one can't be decoded.
    """
    try:
        return rawly.arrays(samples)
    except (InputError, OptionError) as error:
        raise RequestError(error.message, error.remedy) from error


def _outputs(request: Request, signature: Signature) -> tuple[Asked, ...]:
    known = [spec.name for spec in signature.outputs]
    if request.outputs is None:
        return tuple(Asked(name, request.binary) for name in known)
    for asked in request.outputs:
        if asked.name not in known:
            raise RequestError(
                f"There is no output '{asked.name[:64]}'.", f"The model has {', '.join(known)}."
            )
    return request.outputs


def answered(
    outputs: Mapping[str, NDArray[np.generic]], asked: tuple[Asked, ...]
) -> tuple[Output, ...]:
    """The outputs that were asked for, in that order."""
    return tuple(Output(each.name, outputs[each.name], each.binary, each.part) for each in asked)


def wire_spec(spec: TensorSpec) -> dict[str, object]:
    """A tensor as metadata name it; an axis of any size is -1."""
    shape = [dim if isinstance(dim, int) else -1 for dim in spec.shape]
    return {"name": spec.name, "datatype": datatype_of(spec.dtype), "shape": shape}

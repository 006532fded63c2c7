"""A request of the Open Inference Protocol, from JSON and from JSON with binary tensors behind it.

The body is cut into views; numbers are not copied. Sizes are checked against `Limits` and against
each other before anything is made of them. What the model makes of it is not known here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.errors import RequestError
from whet.serve.wire.datatypes import BYTES, NUMPY, unpack_bytes
from whet.serve.wire.json_text import flattened, parsed
from whet.serve.wire.limits import Limits

__all__ = ["Asked", "Given", "Parameters", "Request", "read_request"]

Parameters = dict[str, bool | int | float | str]


class _Tensor(msgspec.Struct, frozen=True):
    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters = {}
    data: list[Any] | None = None


class _Output(msgspec.Struct, frozen=True):
    name: str
    parameters: Parameters = {}


class _Body(msgspec.Struct, frozen=True):
    inputs: list[_Tensor]
    id: str = ""
    parameters: Parameters = {}
    outputs: list[_Output] | None = None


@dataclass(frozen=True)
class Given:
    """One input as it came.

    Attributes:
        name: of it.
        shape: of it.
        values: an array of the shape; of a BYTES tensor its elements.
        datatype: the protocol's name.
    """

    name: str
    shape: tuple[int, ...]
    datatype: str
    values: NDArray[np.generic] | list[bytes]


@dataclass(frozen=True)
class Asked:
    """One output that is asked for, and whether as binary tensor."""

    name: str
    binary: bool


@dataclass(frozen=True)
class Request:
    """What a client asks.

    Attributes:
        inputs: in the order they came.
        id: the client's own; empty where there is none.
        parameters: of the whole.
        outputs: those asked for; ``None`` for all.
        binary: whether outputs that aren't named one by one are asked for as binary tensors.
    """

    inputs: tuple[Given, ...]
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    outputs: tuple[Asked, ...] | None = None
    binary: bool = False


def read_request(
    body: bytes | bytearray | memoryview, header_bytes: int | None, limits: Limits
) -> Request:
    """Read a body.

    Args:
        body: decompressed, as a whole.
        header_bytes: of its JSON, where binary tensors follow; ``None`` where all is JSON.
        limits: that it has to keep.

    Raises:
        RequestError: it can't be used.
    """
    view = memoryview(body)
    if header_bytes is not None and not 0 <= header_bytes <= len(view):
        raise RequestError(
            f"The JSON is said to have {header_bytes} bytes; the body has {len(view)}.",
            "Give its length in Inference-Header-Content-Length.",
        )
    text = view if header_bytes is None else view[:header_bytes]
    if len(text) > limits.json_bytes:
        raise RequestError(
            f"JSON of {len(text):,} bytes is too large; {limits.json_bytes:,} are taken.",
            "Send tensors in binary.",
            status=413,
        )
    whole = parsed(text, _Body, "request")
    _check_counts(whole, limits)
    inputs, rest = [], view[len(text) :]
    for tensor in whole.inputs:
        given, rest = _given(tensor, rest, limits)
        inputs.append(given)
    if len(rest):
        raise RequestError(
            f"{len(rest)} bytes are left over behind the inputs.",
            "Give binary_data_size with each binary input.",
        )
    binary = whole.parameters.get("binary_data_output", False) is True
    return Request(tuple(inputs), whole.id, whole.parameters, _asked(whole.outputs, binary), binary)


def _check_counts(whole: _Body, limits: Limits) -> None:
    if not whole.inputs:
        raise RequestError("There are no inputs.", "Give the model's inputs.")
    for what, items in (("inputs", whole.inputs), ("outputs", whole.outputs or [])):
        names = [item.name for item in items]
        if len(names) > limits.inputs:
            raise RequestError(f"{len(names)} {what} are too many; {limits.inputs} are taken.")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise RequestError(f"'{_short(twice)}' is twice among the {what}.", "Name each once.")
    parameters = [whole.parameters, *(t.parameters for t in whole.inputs)]
    parameters += [o.parameters for o in whole.outputs or []]
    texts = [whole.id, *(t.name for t in whole.inputs), *(o.name for o in whole.outputs or [])]
    for found in parameters:
        if len(found) > limits.parameters:
            raise RequestError(f"{len(found)} parameters are too many.")
        texts += [*found, *(value for value in found.values() if isinstance(value, str))]
    if any(len(text) > limits.name_chars for text in texts):
        raise RequestError(f"A name or parameter is longer than {limits.name_chars} characters.")


def _given(tensor: _Tensor, rest: memoryview, limits: Limits) -> tuple[Given, memoryview]:
    """One input, and the bytes of the body that are left for those after it."""
    count = _elements(tensor, limits)
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return Given(
            tensor.name, tuple(tensor.shape), tensor.datatype, _of_json(tensor, count)
        ), rest
    if tensor.data is not None:
        raise RequestError(f"Input '{_short(tensor.name)}' has data and binary_data_size.")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise RequestError(
            f"Input '{_short(tensor.name)}' is said to have {size} bytes; {len(rest)} are left.",
            "Send binary tensors behind the JSON, in the order of the inputs.",
        )
    values = _of_binary(tensor, rest[:size], count)
    return Given(tensor.name, tuple(tensor.shape), tensor.datatype, values), rest[size:]


def _elements(tensor: _Tensor, limits: Limits) -> int:
    """How many elements a shape has; Python's own integers, so that nothing overflows."""
    name = _short(tensor.name)
    if tensor.datatype not in NUMPY and tensor.datatype != BYTES:
        raise RequestError(
            f"Input '{name}' has the datatype '{_short(tensor.datatype)}', which isn't taken.",
            f"Take one of {', '.join([*NUMPY, BYTES])}.",
        )
    if len(tensor.shape) > limits.axes or any(size < 0 for size in tensor.shape):
        raise RequestError(f"Input '{name}' has a shape that no tensor has.", "Mend the shape.")
    count = math.prod(tensor.shape)
    if count > limits.elements:
        raise RequestError(
            f"Input '{name}' has {count} elements; {limits.elements:,} are taken.",
            "Send fewer rows at once.",
            status=413,
        )
    return count


def _of_binary(tensor: _Tensor, raw: memoryview, count: int) -> NDArray[np.generic] | list[bytes]:
    if tensor.datatype == BYTES:
        return unpack_bytes(raw, count, _short(tensor.name))
    dtype = NUMPY[tensor.datatype]
    if len(raw) != count * dtype.itemsize:
        raise RequestError(
            f"Input '{_short(tensor.name)}' has {len(raw)} bytes; its shape and datatype take"
            f" {count * dtype.itemsize}.",
            "Make shape, datatype and data agree.",
        )
    values = np.frombuffer(raw, dtype)
    if dtype.kind == "b" and count and values.view(np.uint8).max() > 1:
        raise RequestError(f"Input '{_short(tensor.name)}' holds bytes that are neither 0 nor 1.")
    return values.reshape(tensor.shape)


def _of_json(tensor: _Tensor, count: int) -> NDArray[np.generic] | list[bytes]:
    name = _short(tensor.name)
    if tensor.data is None:
        raise RequestError(f"Input '{name}' has no data.", "Give data or binary_data_size.")
    if tensor.datatype == BYTES:
        texts = list(flattened(tensor.data))
        if len(texts) != count or not all(isinstance(text, str) for text in texts):
            raise RequestError(
                f"Input '{name}' isn't the {count} texts that its shape has.",
                "Give texts as strings; send other bytes in binary.",
            )
        return [text.encode() for text in texts]
    if tensor.datatype == "FP16":
        raise RequestError(f"Input '{name}' is FP16, which JSON can't hold.", "Send it in binary.")
    values = _numbers(tensor.data, NUMPY[tensor.datatype], name)
    if values.size != count or (values.ndim > 1 and values.shape != tuple(tensor.shape)):
        raise RequestError(
            f"Input '{name}' holds {values.size} numbers in the shape {list(values.shape)}; it is"
            f" said to have the shape {tensor.shape}.",
            "Make shape and data agree; flat data will do.",
        )
    return values.reshape(tensor.shape)


def _numbers(data: list[Any], dtype: np.dtype[np.generic], name: str) -> NDArray[np.generic]:
    """Nested lists as an array, where they hold numbers that the datatype has."""
    try:
        values = np.array(data) if data else np.empty(0, dtype)
    except (ValueError, OverflowError, RecursionError) as error:
        raise RequestError(f"Input '{name}' holds rows of unequal length.", "Mend it.") from error
    taken = {"b": "b", "f": "fiu"}.get(dtype.kind, "iu")
    fits = values.dtype.kind in taken
    if fits and dtype.kind in "iu" and values.size:
        info = np.iinfo(dtype.name)
        fits = info.min <= int(values.min()) and int(values.max()) <= info.max
    if not fits and values.size:
        raise RequestError(
            f"Input '{name}' holds values that are no {dtype.name}.", "Mend datatype or data."
        )
    with np.errstate(over="ignore"):  # a number beyond FP32 is infinite there, as in any client
        return values.astype(dtype)


def _asked(outputs: list[_Output] | None, binary: bool) -> tuple[Asked, ...] | None:
    if not outputs:
        return None
    found = []
    for output in outputs:
        own = output.parameters.get("binary_data", binary)
        found.append(Asked(output.name, own is True))
    return tuple(found)


def _short(text: str) -> str:
    """A client's own word, as far as an error may repeat it."""
    return text if len(text) <= 64 and text.isprintable() else f"{text[:64]!a}..."

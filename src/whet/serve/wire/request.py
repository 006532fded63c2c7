"""A request of the Open Inference Protocol, from JSON and from JSON with binary tensors behind it.

The body is cut into views; numbers are not copied. What the model makes of it is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from whet.errors import RequestError
from whet.serve.wire.datatypes import BYTES
from whet.serve.wire.json_text import flattened, parsed
from whet.serve.wire.limits import Limits
from whet.serve.wire.regions import Part, Regions, need_regions, part_of
from whet.serve.wire.tensors import (
    Values,
    check_names,
    elements_of,
    most_bytes_of,
    numbers_of,
    short,
    values_of_bytes,
)

__all__ = [
    "Asked",
    "Given",
    "Parameters",
    "Request",
    "check_parameters",
    "check_texts",
    "read_request",
]

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
    values: Values


@dataclass(frozen=True)
class Asked:
    """One output that is asked for.

    Attributes:
        binary: as binary tensor.
        part: of a region of shared memory that it is to be put into.
    """

    name: str
    binary: bool
    part: Part | None = None


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
    body: bytes | bytearray | memoryview,
    header_bytes: int | None,
    limits: Limits,
    regions: Regions | None = None,
) -> Request:
    """Read a body.

    Args:
        body: decompressed, as a whole.
        header_bytes: of its JSON, where binary tensors follow; ``None`` where all is JSON.
        limits: that it has to keep.
        regions: of shared memory that tensors may lie in; ``None`` where they may not.

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
        given, rest = _given(tensor, rest, limits, regions)
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
    check_names("inputs", [tensor.name for tensor in whole.inputs], limits)
    check_names("outputs", [output.name for output in whole.outputs or []], limits)
    parameters = [whole.parameters, *(t.parameters for t in whole.inputs)]
    parameters += [o.parameters for o in whole.outputs or []]
    texts = [whole.id, *(t.name for t in whole.inputs), *(o.name for o in whole.outputs or [])]
    for found in parameters:
        check_parameters(found, limits)
    check_texts(texts, limits)


def check_parameters(parameters: Parameters, limits: Limits) -> None:
    """See to it that parameters are few and short.

    Raises:
        RequestError: they aren't.
    """
    if len(parameters) > limits.parameters:
        raise RequestError(f"{len(parameters)} parameters are too many.")
    check_texts([*parameters, *(v for v in parameters.values() if isinstance(v, str))], limits)


def check_texts(texts: Sequence[str], limits: Limits) -> None:
    """See to it that names and the like are short.

    Raises:
        RequestError: one isn't.
    """
    if any(len(text) > limits.name_chars for text in texts):
        raise RequestError(f"A name or parameter is longer than {limits.name_chars} characters.")


def _given(
    tensor: _Tensor, rest: memoryview, limits: Limits, regions: Regions | None
) -> tuple[Given, memoryview]:
    """One input, and the bytes of the body that are left for those after it."""
    name, shape, datatype = tensor.name, tuple(tensor.shape), tensor.datatype
    count = elements_of(name, datatype, shape, limits)
    part = part_of(tensor.parameters)
    if part is not None:
        raw = need_regions(regions).read(part, most_bytes_of(datatype, count, limits))
        return Given(
            name, shape, datatype, values_of_bytes(name, datatype, shape, raw, count)
        ), rest
    size = tensor.parameters.get("binary_data_size")
    if size is None:
        return Given(name, shape, datatype, _of_json(tensor, count)), rest
    if tensor.data is not None:
        raise RequestError(f"Input '{short(name)}' has data and binary_data_size.")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(rest):
        raise RequestError(
            f"Input '{short(name)}' is said to have {size} bytes; {len(rest)} are left.",
            "Send binary tensors behind the JSON, in the order of the inputs.",
        )
    values = values_of_bytes(name, datatype, shape, rest[:size], count)
    return Given(name, shape, datatype, values), rest[size:]


def _of_json(tensor: _Tensor, count: int) -> Values:
    name = short(tensor.name)
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
    values = numbers_of(tensor.name, tensor.datatype, tensor.data)
    if values.size != count or (values.ndim > 1 and values.shape != tuple(tensor.shape)):
        raise RequestError(
            f"Input '{name}' holds {values.size} numbers in the shape {list(values.shape)}; it is"
            f" said to have the shape {tensor.shape}.",
            "Make shape and data agree; flat data will do.",
        )
    return values.reshape(tensor.shape)


def _asked(outputs: list[_Output] | None, binary: bool) -> tuple[Asked, ...] | None:
    if not outputs:
        return None
    found = []
    for output in outputs:
        own = output.parameters.get("binary_data", binary)
        found.append(Asked(output.name, own is True, part_of(output.parameters)))
    return tuple(found)

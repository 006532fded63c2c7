"""Messages of the protocol as requests, and answers as messages; pure."""

from __future__ import annotations

from typing import Any

from whet.errors import RequestError
from whet.serve.grpc.messages import message
from whet.serve.wire.datatypes import BYTES
from whet.serve.wire.limits import Limits
from whet.serve.wire.regions import Part, Regions, need_regions, part_of
from whet.serve.wire.request import (
    Asked,
    Given,
    Parameters,
    Request,
    check_parameters,
    check_texts,
)
from whet.serve.wire.response import Answer, put_into, raw_of
from whet.serve.wire.tensors import (
    Values,
    check_names,
    elements_of,
    most_bytes_of,
    numbers_of,
    short,
    values_of_bytes,
)

__all__ = ["request_of", "response_of"]

_CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def request_of(asked: Any, limits: Limits, regions: Regions | None = None) -> Request:
    """A ``ModelInferRequest`` as a request.

    Args:
        asked: the message.
        limits: that it has to keep.
        regions: of shared memory that tensors may lie in; ``None`` where they may not.

    Raises:
        RequestError: it can't be used.
    """
    if not asked.inputs:
        raise RequestError("There are no inputs.", "Give the model's inputs.")
    names = [tensor.name for tensor in asked.inputs]
    outputs = [output.name for output in asked.outputs]
    check_names("inputs", names, limits)
    check_names("outputs", outputs, limits)
    check_texts([asked.id, *names, *outputs], limits)
    parts = [part_of(_parameters(tensor.parameters, limits)) for tensor in asked.inputs]
    raw = [memoryview(each) for each in asked.raw_input_contents]
    if raw and len(raw) != parts.count(None):
        raise RequestError(
            f"There are {len(raw)} raw contents for {parts.count(None)} inputs.",
            "Give one for each that isn't in shared memory.",
        )
    contents = iter(raw)
    given = tuple(
        _given(tensor, part, None if part is not None else next(contents, None), limits, regions)
        for tensor, part in zip(asked.inputs, parts, strict=True)
    )
    chosen = tuple(
        Asked(output.name, binary=True, part=part_of(_parameters(output.parameters, limits)))
        for output in asked.outputs
    )
    return Request(
        given, asked.id, _parameters(asked.parameters, limits), chosen or None, binary=True
    )


def _given(
    tensor: Any,
    part: Part | None,
    raw: memoryview | None,
    limits: Limits,
    regions: Regions | None,
) -> Given:
    shape = tuple(tensor.shape)
    count = elements_of(tensor.name, tensor.datatype, shape, limits)
    if part is not None:
        raw = need_regions(regions).read(part, most_bytes_of(tensor.datatype, count, limits))
    if raw is None:
        values = _typed(tensor, shape, count)
    elif tensor.HasField("contents"):
        raise RequestError(
            f"Input '{short(tensor.name)}' has raw and other contents.", "Give one of them."
        )
    else:
        values = values_of_bytes(tensor.name, tensor.datatype, shape, raw, count)
    return Given(tensor.name, shape, tensor.datatype, values)


def _typed(tensor: Any, shape: tuple[int, ...], count: int) -> Values:
    """What isn't raw lies in the list of the tensor's datatype."""
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise RequestError(f"Input '{short(tensor.name)}' is FP16, which has to be raw.")
    found = getattr(tensor.contents, field)
    if len(found) != count:
        raise RequestError(
            f"Input '{short(tensor.name)}' holds {len(found)} elements in {field}; its shape has"
            f" {count}.",
            "Make shape, datatype and data agree.",
        )
    if tensor.datatype == BYTES:
        return list(found)
    return numbers_of(tensor.name, tensor.datatype, found).reshape(shape)


def _parameters(given: Any, limits: Limits) -> Parameters:
    found: Parameters = {}
    for name, parameter in given.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is not None:
            found[name] = getattr(parameter, kind)
    check_parameters(found, limits)
    return found


def response_of(answer: Answer, regions: Regions | None = None) -> Any:
    """An answer as a ``ModelInferResponse``; contents are raw, for clients read nothing else.

    Raises:
        RequestError: an output doesn't fit into its part of shared memory.
    """
    response = message("inference.ModelInferResponse")(
        model_name=answer.model, model_version=answer.version, id=answer.id
    )
    for name, value in (answer.parameters or {}).items():
        _set(response.parameters[name], value)
    for output in answer.outputs:
        datatype, raw = raw_of(output.values)
        told = response.outputs.add(name=output.name, datatype=datatype, shape=output.values.shape)
        if output.part is None:
            response.raw_output_contents.append(bytes(raw))
            continue
        response.raw_output_contents.append(b"")  # clients count on one for each output
        for name, value in put_into(output, need_regions(regions)).items():
            _set(told.parameters[name], value)
    return response


def _set(parameter: Any, value: bool | float | str) -> None:
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    setattr(parameter, kinds[type(value)], value)

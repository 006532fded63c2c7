"""An answer of the Open Inference Protocol: JSON, and binary tensors behind it.

A tensor in JSON carries no `parameters` at all: a public client takes any to mean that it is binary.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.serve.wire.datatypes import BYTES, datatype_of, pack_bytes
from whet.serve.wire.json_text import numbers_json
from whet.serve.wire.regions import Part, Regions, need_regions
from whet.serve.wire.request import Parameters

__all__ = ["Answer", "Output", "error_body", "put_into", "raw_of", "write_answer"]


@dataclass(frozen=True)
class Output:
    """One output, whether it is sent as binary tensor, and where it is put instead."""

    name: str
    values: NDArray[np.generic]
    binary: bool
    part: Part | None = None


@dataclass(frozen=True)
class Answer:
    """What a client is told.

    Attributes:
        model: its name.
        version: of the model.
        id: the client's own; empty where it gave none.
        parameters: of the whole; which variant answered, for instance.
    """

    model: str
    version: str
    outputs: tuple[Output, ...]
    id: str = ""
    parameters: Parameters | None = None


def write_answer(
    answer: Answer, regions: Regions | None = None
) -> tuple[list[bytes | memoryview], int | None]:
    """An answer as the parts of a body.

    Args:
        answer: to be told.
        regions: of shared memory that outputs may be put into.

    Returns:
        The parts in their order, and the length of the first, the JSON, where binary tensors
        follow it; ``None`` where all is JSON.
    """
    raw: list[bytes | memoryview] = []
    described = [_described(output, raw, regions) for output in answer.outputs]
    head: dict[str, object] = {"model_name": answer.model, "model_version": answer.version}
    if answer.id:
        head["id"] = answer.id
    if answer.parameters:
        head["parameters"] = answer.parameters
    head["outputs"] = described
    text = msgspec.json.encode(head)
    return [text, *raw], len(text) if any(
        o.binary and o.part is None for o in answer.outputs
    ) else None


def _described(
    output: Output, raw: list[bytes | memoryview], regions: Regions | None
) -> dict[str, object]:
    """One output of the JSON; its bytes go behind, where it is binary."""
    values = output.values
    datatype = datatype_of(values.dtype.name)
    found: dict[str, object] = {
        "name": output.name, "datatype": datatype, "shape": list(values.shape),
    }  # fmt: skip
    if output.part is not None:  # without parameters, see above: who asked knows where it is
        put_into(output, need_regions(regions))
    elif output.binary:
        _, part = raw_of(values)
        found["parameters"] = {"binary_data_size": len(part)}
        raw.append(part)
    elif datatype == BYTES:
        found["data"] = [_text(each) for each in values.ravel()]
    else:
        found["data"] = msgspec.Raw(numbers_json(values))
    return found


def put_into(output: Output, regions: Regions) -> dict[str, int | str]:
    """Put an output into shared memory; the parameters that say where it lies.

    Raises:
        RequestError: it doesn't fit there.
    """
    part = output.part
    if part is None:
        return {}
    _, raw = raw_of(output.values)
    regions.write(part, raw)
    return {
        "shared_memory_region": part.region,
        "shared_memory_offset": part.offset,
        "shared_memory_byte_size": len(raw),
    }


def raw_of(values: NDArray[np.generic]) -> tuple[str, bytes | memoryview]:
    """The protocol's datatype of an array, and its bytes, little-endian and row by row."""
    datatype = datatype_of(values.dtype.name)
    if datatype == BYTES:
        return datatype, pack_bytes(values.astype(object))
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
    return datatype, little.data.cast("B") if little.size else b""


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def error_body(message: str) -> bytes:
    """What stands in the place of an answer that there is none."""
    return msgspec.json.encode({"error": message})

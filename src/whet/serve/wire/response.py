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
from whet.serve.wire.request import Parameters

__all__ = ["Answer", "Output", "error_body", "write_answer"]


@dataclass(frozen=True)
class Output:
    """One output, and whether it is sent as binary tensor."""

    name: str
    values: NDArray[np.generic]
    binary: bool


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


def write_answer(answer: Answer) -> tuple[list[bytes | memoryview], int | None]:
    """An answer as the parts of a body.

    Returns:
        The parts in their order, and the length of the first, the JSON, where binary tensors
        follow it; ``None`` where all is JSON.
    """
    raw: list[bytes | memoryview] = []
    described = [_described(output, raw) for output in answer.outputs]
    head: dict[str, object] = {"model_name": answer.model, "model_version": answer.version}
    if answer.id:
        head["id"] = answer.id
    if answer.parameters:
        head["parameters"] = answer.parameters
    head["outputs"] = described
    text = msgspec.json.encode(head)
    return [text, *raw], len(text) if any(o.binary for o in answer.outputs) else None


def _described(output: Output, raw: list[bytes | memoryview]) -> dict[str, object]:
    """One output of the JSON; its bytes go behind, where it is binary."""
    values = output.values
    datatype = datatype_of(values.dtype.name)
    found: dict[str, object] = {
        "name": output.name, "datatype": datatype, "shape": list(values.shape),
    }  # fmt: skip
    if output.binary:
        part = _raw(values, datatype)
        found["parameters"] = {"binary_data_size": len(part)}
        raw.append(part)
    elif datatype == BYTES:
        found["data"] = [_text(each) for each in values.ravel()]
    else:
        found["data"] = msgspec.Raw(numbers_json(values))
    return found


def _raw(values: NDArray[np.generic], datatype: str) -> bytes | memoryview:
    if datatype == BYTES:
        return pack_bytes(values.astype(object))
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
    return little.data.cast("B") if little.size else b""


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def error_body(message: str) -> bytes:
    """What stands in the place of an answer that there is none."""
    return msgspec.json.encode({"error": message})

"""Questions and answers of the protocol as a client writes and reads them; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.client.http1 import Ended
from whet.core.spec import Arrays
from whet.errors import (
    BusyError,
    LateError,
    OptionError,
    RequestError,
    ServeError,
    UnknownModelError,
    WhetError,
)
from whet.serve.wire.datatypes import BYTES, NUMPY, unpack_bytes
from whet.serve.wire.json_text import flattened, parsed
from whet.serve.wire.response import raw_of

__all__ = ["Inference", "Question", "answer_of", "failure_of", "plain_of", "question_of"]

_LENGTH = b"inference-header-content-length"


@dataclass(frozen=True)
class Inference:
    """What a model said.

    Attributes:
        outputs: by name; a row for each row that was asked.
        model: that answered.
        version: of it.
        variant: of its bundle that answered; empty where the server doesn't say.
        id: that the question had.
    """

    outputs: Arrays
    model: str
    version: str
    variant: str
    id: str

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        return self.outputs[name]


@dataclass(frozen=True)
class Question:
    """A body in parts, and the header that says how long its JSON is."""

    parts: tuple[bytes | memoryview, ...]
    headers: dict[str, str]


class _Output(msgspec.Struct, frozen=True):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Body(msgspec.Struct, frozen=True):
    outputs: list[_Output]
    model_name: str = ""
    model_version: str = ""
    id: str = ""
    parameters: dict[str, Any] = {}


class _Failure(msgspec.Struct, frozen=True):
    error: str = ""


def question_of(
    inputs: Mapping[str, NDArray[np.generic] | Sequence[bytes | str]],
    *,
    outputs: Sequence[str] = (),
    timeout_ms: float | None = None,
    priority: int | None = None,
    id: str = "",  # noqa: A002 (the protocol's word)
) -> Question:
    """A question, its tensors in binary.

    Args:
        inputs: arrays; or samples as bytes or texts, which the model's transform reads.
        outputs: that are wanted; none for all.
        timeout_ms: within which it is to be answered.
        priority: 1 is the highest.
        id: that the answer shall have.

    Raises:
        OptionError: an array has a datatype that the protocol hasn't.
    """
    described: list[dict[str, object]] = []
    tail: list[bytes | memoryview] = []
    for name, values in inputs.items():
        array = _array(values)
        try:
            datatype, raw = raw_of(array)
        except KeyError as error:
            raise OptionError(
                f"Input '{name}' has dtype {array.dtype}, which can't be sent.", "Convert it."
            ) from error
        size = {"binary_data_size": len(raw)}
        described.append(
            {"name": name, "shape": array.shape, "datatype": datatype, "parameters": size}
        )
        tail.append(raw)
    parameters: dict[str, object] = {"binary_data_output": True}
    if timeout_ms is not None:
        parameters["timeout"] = max(1, math.ceil(timeout_ms * 1e3))
    if priority is not None:
        parameters["priority"] = priority
    head: dict[str, object] = {"inputs": described, "parameters": parameters}
    if outputs:
        head["outputs"] = [{"name": name} for name in outputs]
    if id:
        head["id"] = id
    text = msgspec.json.encode(head)
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(text)),
    }
    return Question((text, *tail), headers)


def _array(values: NDArray[np.generic] | Sequence[bytes | str]) -> NDArray[np.generic]:
    if isinstance(values, np.ndarray):
        return values.astype(object) if values.dtype.kind in "SU" else values
    samples = np.empty(len(values), object)
    samples[:] = list(values)
    return samples


def answer_of(ended: Ended) -> Inference:
    """An answer, as arrays.

    Raises:
        ServeError: it isn't what the protocol says.
    """
    said = ended.headers.get(_LENGTH)
    body = memoryview(ended.body)
    length = int(said) if said is not None and said.isdigit() else len(body)
    whole = parsed(body[:length], _Body, "answer")
    outputs: Arrays = {}
    at = length
    for output in whole.outputs:
        size = output.parameters.get("binary_data_size")
        if size is None:
            outputs[output.name] = _listed(output)
            continue
        if not isinstance(size, int) or at + size > len(body):
            raise ServeError("The answer is shorter than it says.")
        outputs[output.name] = _binary(output, body[at : at + size])
        at += size
    variant = str(whole.parameters.get("variant", ""))
    return Inference(outputs, whole.model_name, whole.model_version, variant, whole.id)


def _binary(output: _Output, raw: memoryview) -> NDArray[np.generic]:
    count = math.prod(output.shape)
    if output.datatype == BYTES:
        found = np.empty(count, object)
        found[:] = unpack_bytes(raw, count, output.name)
        return found.reshape(output.shape)
    dtype = NUMPY.get(output.datatype)
    if dtype is None or len(raw) != count * dtype.itemsize:
        raise ServeError(f"Output '{output.name}' isn't what it is said to be.")
    return np.frombuffer(raw, dtype).reshape(output.shape)


def _listed(output: _Output) -> NDArray[np.generic]:
    values = list(flattened(output.data or []))
    if output.datatype == BYTES:
        return np.array(values, object).reshape(output.shape)
    return np.array(values, NUMPY[output.datatype]).reshape(output.shape)


def plain_of(ended: Ended) -> Any:
    """A JSON answer that is told of server or models."""
    return parsed(ended.body, object, "answer") if ended.body else None


def failure_of(ended: Ended) -> WhetError | None:
    """The error that an answer is; ``None`` where it is none."""
    if ended.status == 200:
        return None
    try:
        words = msgspec.json.decode(ended.body, type=_Failure).error
    except (msgspec.DecodeError, msgspec.ValidationError):
        words = ""
    words = words or f"The server answered with status {ended.status}."
    if ended.status == 404:
        return UnknownModelError(words)
    if ended.status == 503:
        said = ended.headers.get(b"retry-after", b"")
        return BusyError(words, retry_after_s=float(said) if said.isdigit() else 0.0)
    if ended.status == 504:
        return LateError(words)
    if 400 <= ended.status < 500:
        return RequestError(words, status=ended.status)
    return ServeError(words)

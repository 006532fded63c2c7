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
)
from whet.serve.wire.datatypes import BYTES, NUMPY, unpack_bytes
from whet.serve.wire.json_text import flattened, parsed
from whet.serve.wire.response import raw_of

__all__ = ["Inference", "Question", "answer_of", "need_answer", "plain_of", "question_of"]

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
        array = _array(name, values)
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


def _array(name: str, values: object) -> NDArray[np.generic]:
    if isinstance(values, np.ndarray):
        return values.astype(object) if values.dtype.kind in "SU" else values
    if (
        not isinstance(values, Sequence)
        or isinstance(values, (str, bytes))
        or not all(isinstance(each, (str, bytes)) for each in values)
    ):
        raise OptionError(
            f"Input '{name}' is a {type(values).__name__}, which isn't sent.",
            "Give a numpy array, or a list of texts or of files' bytes.",
        )
    samples = np.empty(len(values), object)
    samples[:] = list(values)
    return samples


def answer_of(ended: Ended) -> Inference:
    """An answer, as arrays.

    Raises:
        ServeError: it isn't what the protocol says.
    """
    try:
        return _answer_of(ended)
    except (RequestError, KeyError, ValueError) as error:
        raise ServeError(
            f"The server's answer isn't what the protocol says: {error}",
            "Report it to who runs it.",
        ) from error


def _answer_of(ended: Ended) -> Inference:
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
        if not isinstance(size, int) or size < 0 or at + size > len(body):
            raise ValueError("it is shorter than it says")
        outputs[output.name] = _binary(output, body[at : at + size])
        at += size
    variant = str(whole.parameters.get("variant", ""))
    return Inference(outputs, whole.model_name, whole.model_version, variant, whole.id)


def _binary(output: _Output, raw: memoryview) -> NDArray[np.generic]:
    if output.datatype == BYTES:
        elements = unpack_bytes(raw, math.prod(output.shape), output.name)
        found = np.empty(len(elements), object)
        found[:] = elements
        return found.reshape(output.shape)
    return np.frombuffer(raw, NUMPY[output.datatype]).reshape(output.shape)


def _listed(output: _Output) -> NDArray[np.generic]:
    values = list(flattened(output.data or []))
    if output.datatype == BYTES:
        return np.array(values, object).reshape(output.shape)
    return np.array(values, NUMPY[output.datatype]).reshape(output.shape)


def plain_of(ended: Ended) -> Any:
    """A JSON answer that is told of server or models."""
    return parsed(ended.body, object, "answer") if ended.body else None


def need_answer(ended: Ended) -> None:
    """See to it that an answer is one.

    Raises:
        RequestError, UnknownModelError, BusyError, LateError, ServeError: it says that it is none.
    """
    if ended.status == 200:
        return
    words = _words_of(ended)
    if ended.status == 404:
        raise UnknownModelError(words, "Ask for the models that are there.")
    if ended.status == 503:
        said = ended.headers.get(b"retry-after", b"")
        raise BusyError(words, retry_after_s=float(said) if said.isdigit() else 0.0)
    if ended.status == 504:
        raise LateError(words)
    if 400 <= ended.status < 500:
        raise RequestError(words, status=ended.status)
    raise ServeError(words, "Is it a server of the Open Inference Protocol?")


def _words_of(ended: Ended) -> str:
    try:
        words = msgspec.json.decode(ended.body, type=_Failure).error
    except (msgspec.DecodeError, msgspec.ValidationError):
        words = ""
    return words or f"The server answered with status {ended.status}."

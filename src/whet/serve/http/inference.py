"""An inference request over HTTP: read, answered, written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whet.errors import RequestError
from whet.serve.hosting.repository import Entry
from whet.serve.http.compat import tensorflow, torchserve
from whet.serve.http.exchange import Reply
from whet.serve.inference import infer
from whet.serve.wire.limits import Limits
from whet.serve.wire.raw import raw_row
from whet.serve.wire.regions import Regions
from whet.serve.wire.request import Given, Request, read_request
from whet.serve.wire.response import write_answer

__all__ = ["Allowed", "infer_over_http", "predict_as_tensorflow", "predict_as_torchserve"]

_LENGTH = b"inference-header-content-length"
_OCTETS = (b"content-type", b"application/octet-stream")


@dataclass(frozen=True)
class Allowed:
    """What requests may do.

    Attributes:
        limits: on each.
        regions: of shared memory that tensors may lie in; ``None`` where they may not.
    """

    limits: Limits
    regions: Regions | None = None


async def infer_over_http(
    entry: Entry, body: bytes, headers: Mapping[bytes, bytes], allowed: Allowed, arrived_s: float
) -> Reply:
    """Answer a request.

    Args:
        entry: the model that is asked.
        body: decompressed.
        headers: of the request.
        allowed: limits that it has to keep, and shared memory that it may use.
        arrived_s: when it came.

    Raises:
        ServeError: it can't be used, comes too late, or the engine failed.
    """
    request = _read(body, headers, entry, allowed)
    answer = await infer(entry, request, arrived_s=arrived_s)
    parts, header = write_answer(answer, allowed.regions)
    if header is None:
        return Reply(200, parts)
    return Reply(200, parts, (_OCTETS, (_LENGTH, str(header).encode())))


async def predict_as_tensorflow(
    entry: Entry, body: bytes, headers: Mapping[bytes, bytes], allowed: Allowed, arrived_s: float
) -> Reply:
    """Answer as TensorFlow Serving does; arguments and errors as of `infer_over_http`."""
    del headers
    hosted = entry.hosted
    asked = tensorflow.read_predict(body, hosted.manifest.signature, hosted.rawly, allowed.limits)
    answer = await infer(entry, asked.request, arrived_s=arrived_s)
    return Reply(200, (tensorflow.predicted(answer, rows=asked.rows),))


async def predict_as_torchserve(
    entry: Entry, body: bytes, headers: Mapping[bytes, bytes], allowed: Allowed, arrived_s: float
) -> Reply:
    """Answer as TorchServe does; arguments and errors as of `infer_over_http`."""
    hosted = entry.hosted
    kind = headers.get(b"content-type", b"").decode("latin-1")
    request = torchserve.read_prediction(
        body, kind, hosted.manifest.signature, hosted.rawly, allowed.limits
    )
    return Reply(200, (torchserve.foretold(await infer(entry, request, arrived_s=arrived_s)),))


def _read(body: bytes, headers: Mapping[bytes, bytes], entry: Entry, allowed: Allowed) -> Request:
    said = headers.get(_LENGTH)
    if said is None:
        return read_request(body, None, allowed.limits, allowed.regions)
    if not said.isdigit() or len(said) > 12:
        raise RequestError("Inference-Header-Content-Length is no length.", "Mend the header.")
    if int(said) == 0:
        return _raw_request(body, entry)
    return read_request(body, int(said), allowed.limits, allowed.regions)


def _raw_request(body: bytes, entry: Entry) -> Request:
    """A body that is nothing but one sample: a picture, or the bytes of the only input's row."""
    hosted = entry.hosted
    if hosted.rawly is not None:
        return Request((Given(hosted.rawly.name, (1,), "BYTES", [body]),), binary=True)
    inputs = hosted.manifest.signature.inputs
    if len(inputs) != 1:
        raise RequestError(
            f"The model takes {len(inputs)} inputs; a raw body holds one.", "Send JSON in front."
        )
    return Request((raw_row(body, inputs[0]),), binary=True)

"""An inference request over HTTP: read, checked, answered, written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from whet.core.spec import Arrays
from whet.errors import RequestError
from whet.serve.dataplane import accepted, answered, decoded, terms_of
from whet.serve.hosting.repository import Entry
from whet.serve.http.exchange import Reply
from whet.serve.wire.limits import Limits
from whet.serve.wire.raw import raw_row
from whet.serve.wire.request import Given, Request, read_request
from whet.serve.wire.response import Answer, write_answer

__all__ = ["infer"]

_LENGTH = b"inference-header-content-length"
_OCTETS = (b"content-type", b"application/octet-stream")


async def infer(
    entry: Entry, body: bytes, headers: Mapping[bytes, bytes], limits: Limits, arrived_s: float
) -> Reply:
    """Answer a request.

    Args:
        entry: the model that is asked.
        body: decompressed.
        headers: of the request.
        limits: that it has to keep.
        arrived_s: when it came.

    Raises:
        ServeError: it can't be used, comes too late, or the engine failed.
    """
    with entry.hosted.held():
        return await _infer(entry, body, headers, limits, arrived_s)


async def _infer(
    entry: Entry, body: bytes, headers: Mapping[bytes, bytes], limits: Limits, arrived_s: float
) -> Reply:
    hosted = entry.hosted
    request = _read(body, headers, entry, limits)
    work = accepted(request, hosted.manifest.signature, hosted.rawly)
    terms = terms_of(request.parameters)
    arrays: Arrays | None = work.arrays
    decode_s = 0.0
    if arrays is None:
        if hosted.rawly is None or work.raw is None:
            raise RequestError("This model takes arrays.", "Ask for its metadata.")
        began_s = time.monotonic()
        arrays = await asyncio.to_thread(decoded, work.raw, hosted.rawly)
        decode_s = time.monotonic() - began_s
    found = await hosted.engine.infer(arrays, work.rows, terms, arrived_s=arrived_s)
    answer = Answer(
        hosted.name,
        hosted.version,
        answered(found.outputs, work.outputs),
        request.id,
        {"variant": found.variant},
    )
    parts, header = write_answer(answer)
    whole_s = time.monotonic() - arrived_s
    entry.counts.answered(found, work.rows, whole_s=whole_s, decode_s=decode_s)
    if header is None:
        return Reply(200, parts)
    return Reply(200, parts, (_OCTETS, (_LENGTH, str(header).encode())))


def _read(body: bytes, headers: Mapping[bytes, bytes], entry: Entry, limits: Limits) -> Request:
    said = headers.get(_LENGTH)
    if said is None:
        return read_request(body, None, limits)
    if not said.isdigit() or len(said) > 12:
        raise RequestError("Inference-Header-Content-Length is no length.", "Mend the header.")
    if int(said) == 0:
        return _raw_request(body, entry)
    return read_request(body, int(said), limits)


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

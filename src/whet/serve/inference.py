"""A request that was read, answered: checked, decoded, run, counted. Every transport does this alike."""

from __future__ import annotations

import asyncio
import math
import time

from whet.core.spec import Arrays
from whet.errors import RequestError
from whet.serve.dataplane import Terms, accepted, answered, decoded, terms_of
from whet.serve.hosting.repository import Entry
from whet.serve.wire.request import Request
from whet.serve.wire.response import Answer

__all__ = ["infer"]


async def infer(
    entry: Entry, request: Request, *, arrived_s: float, within_s: float = math.inf
) -> Answer:
    """Answer a request; the model is kept until it is through.

    Args:
        entry: the model that is asked.
        request: as it was read.
        arrived_s: when it came, by `time.monotonic`.
        within_s: of that time, as the transport knows it; the request's own timeout may be less.

    Raises:
        ServeError: it can't be used, comes too late, or the engine failed.
    """
    with entry.hosted.held():
        return await _infer(entry, request, arrived_s, within_s)


async def _infer(entry: Entry, request: Request, arrived_s: float, within_s: float) -> Answer:
    hosted = entry.hosted
    work = accepted(request, hosted.manifest.signature, hosted.rawly)
    terms = _within(terms_of(request.parameters), within_s)
    arrays: Arrays | None = work.arrays
    decode_s = 0.0
    if arrays is None:
        if hosted.rawly is None or work.raw is None:
            raise RequestError("This model takes arrays.", "Ask for its metadata.")
        began_s = time.monotonic()
        arrays = await asyncio.to_thread(decoded, work.raw, hosted.rawly)
        decode_s = time.monotonic() - began_s
    found = await hosted.engine.infer(arrays, work.rows, terms, arrived_s=arrived_s)
    whole_s = time.monotonic() - arrived_s
    entry.counts.answered(found, work.rows, whole_s=whole_s, decode_s=decode_s)
    return Answer(
        hosted.name,
        hosted.version,
        answered(found.outputs, work.outputs),
        request.id,
        {"variant": found.variant},
    )


def _within(terms: Terms, within_s: float) -> Terms:
    if not math.isfinite(within_s):
        return terms
    own_s = math.inf if terms.timeout_s is None else terms.timeout_s
    return Terms(terms.level, min(own_s, within_s))

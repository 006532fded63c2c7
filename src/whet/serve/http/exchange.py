"""One request and its answer, over ASGI: bodies with caps and a deadline, answers in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whet.core.units import seconds_words
from whet.errors import RequestError
from whet.serve.wire.compression import CODINGS, packed, unpacked
from whet.serve.wire.limits import Limits

__all__ = [
    "JSON",
    "ClientLeft",
    "Receive",
    "Reply",
    "Scope",
    "Send",
    "body_of",
    "headers_of",
    "send_reply",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = (b"content-type", b"application/json")
_SMALL = 1 << 16  # parts of small answers are put together, which takes less than to send each
_MOST_CHUNKS = 65_536


@dataclass(frozen=True)
class Reply:
    """An answer.

    Attributes:
        status: of HTTP.
        parts: of the body, in order.
        headers: beside its length.
    """

    status: int
    parts: Sequence[bytes | memoryview] = ()
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(JSON,))


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Headers by lower-case name.

    Raises:
        RequestError: one that decides how a body is read is there twice.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in found and name in _ONCE:
            raise RequestError(f"The header {name.decode()} is there twice.", "Send it once.")
        found[name] = value
    return found


_ONCE = frozenset(
    {b"content-length", b"content-encoding", b"inference-header-content-length", b"authorization"}
)


async def body_of(
    receive: Receive, headers: Mapping[bytes, bytes], limits: Limits, within_s: float
) -> bytes:
    """A body, as it was before it was compressed.

    Args:
        receive: of ASGI.
        headers: of the request.
        limits: on its size.
        within_s: all of it has to be there.

    Raises:
        RequestError: it is too large, too slow, or compressed in another way.
        ClientLeft: there is nobody to answer.
    """
    coding = headers.get(b"content-encoding", b"identity").decode("latin-1").strip().lower()
    if coding not in {"identity", *CODINGS}:
        raise RequestError(
            f"The encoding '{coding[:32]}' isn't taken.", "Send gzip, deflate or none.", status=415
        )
    said = headers.get(b"content-length", b"")
    if said.isdigit() and int(said) > limits.body_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(within_s):
            chunks = await _chunks(receive, limits)
    except TimeoutError as error:
        raise RequestError(
            f"The body wasn't there within {seconds_words(within_s)}.",
            "Send it faster.",
            status=408,
        ) from error
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return body if coding == "identity" else unpacked(body, coding, limits.body_bytes)


async def _chunks(receive: Receive, limits: Limits) -> list[bytes]:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limits.body_bytes or len(chunks) > _MOST_CHUNKS:
            raise _too_large(limits)
        if chunk:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks


class ClientLeft(Exception):  # noqa: N818 (no error of anybody's)
    """The client is gone; there is nobody to answer."""


def _too_large(limits: Limits) -> RequestError:
    return RequestError(
        f"The body is larger than {limits.body_bytes:,} bytes.", "Send less at once.", status=413
    )


async def send_reply(send: Send, reply: Reply, coding: str | None = None) -> None:
    """Send an answer, compressed where the client takes that."""
    parts, headers = reply.parts, reply.headers
    size = sum(len(part) for part in parts)
    if coding is not None and size:
        parts = (packed(parts, coding),)
        size = len(parts[0])
        headers = (*headers, (b"content-encoding", coding.encode()))
    elif len(parts) > 1 and size <= _SMALL:
        parts = (b"".join(parts),)
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [*headers, (b"content-length", str(size).encode())],
        }
    )
    for part in parts[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": parts[-1] if parts else b""})

"""Bodies compressed by gzip or deflate; what they come to is bounded while they are unpacked."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from whet.core.preferences import preferences
from whet.errors import RequestError

__all__ = ["CODINGS", "chosen_coding", "packed", "unpacked"]

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}  # deflate is zlib's format
CODINGS = tuple(_WINDOW)
"""What bodies may be compressed by."""

_LEVEL = 1  # tensors compress little, and time is what counts


def unpacked(body: bytes | bytearray, coding: str, most: int) -> bytes:
    """A body as it was before it was compressed.

    Args:
        body: as it came.
        coding: one of `CODINGS`.
        most: bytes that it may come to; no more are ever made.

    Raises:
        RequestError: it comes to more, breaks off, or isn't what it is said to be.
    """
    packing = zlib.decompressobj(_WINDOW[coding])
    try:
        found = packing.decompress(bytes(body), most + 1)
    except zlib.error as error:
        raise RequestError(f"The body is no {coding}.", "Mend Content-Encoding.") from error
    if len(found) > most:
        raise RequestError(
            f"The body comes to more than {most:,} bytes.", "Send less at once.", status=413
        )
    if not packing.eof or packing.unused_data:
        raise RequestError(f"The body isn't one whole {coding} stream.", "Send all of it.")
    return found


def packed(parts: Iterable[bytes | memoryview], coding: str) -> bytes:
    """A body in parts, compressed."""
    packing = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW[coding])
    return b"".join([*(packing.compress(part) for part in parts), packing.flush()])


def chosen_coding(accepted: str) -> str | None:
    """By what to compress an answer, from ``Accept-Encoding``; ``None`` for not at all.

    Where several are taken equally well it is the first.
    """
    best, found = 0.0, None
    for name, _, weight in preferences(accepted):
        if name in _WINDOW and weight > best:
            best, found = weight, name
    return found

"""The bytes of a picture, in any of the forms that Python has for them; pure."""

from __future__ import annotations

__all__ = ["BLOBS", "blob_of"]

BLOBS = (bytes, bytearray, memoryview)


def blob_of(value: object) -> bytes | None:
    """The bytes; ``None`` where it is something else, such as a view of an array."""
    if isinstance(value, memoryview) and (value.ndim != 1 or value.itemsize != 1):
        return None
    return bytes(value) if isinstance(value, BLOBS) else None

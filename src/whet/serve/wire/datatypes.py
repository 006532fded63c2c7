"""Datatypes of the Open Inference Protocol, and BYTES tensors in their binary form.

An element of a BYTES tensor is its length as four little-endian bytes, then its bytes.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from whet.errors import RequestError

__all__ = ["BYTES", "NUMPY", "datatype_of", "pack_bytes", "unpack_bytes"]

BYTES = "BYTES"
NUMPY = {
    "BOOL": np.dtype("bool"),
    "UINT8": np.dtype("uint8"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("int8"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
"""Numpy's datatype of each one of fixed size; on the wire all are little-endian."""

_OF_NUMPY = {dtype.name: name for name, dtype in NUMPY.items()} | {"object": BYTES}
_LENGTH = struct.Struct("<I")


def datatype_of(dtype: str) -> str:
    """The protocol's name of one of numpy's datatypes (``"float32"``).

    Raises:
        KeyError: the protocol has none.
    """
    return _OF_NUMPY[dtype]


def unpack_bytes(raw: memoryview, count: int, name: str) -> list[bytes]:
    """The elements of a binary BYTES tensor.

    Args:
        raw: all of its bytes.
        count: of the elements, as the shape has it.
        name: of the input, for errors.

    Raises:
        RequestError: a length goes beyond the end, or there are more or fewer elements.
    """
    found: list[bytes] = []
    at, size = 0, len(raw)
    while at < size:
        if len(found) == count or size - at < _LENGTH.size:
            raise _other_count(name, count)
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if length > size - at:
            raise RequestError(
                f"An element of input '{name}' is said to have {length} bytes; {size - at} follow.",
                "Write each element as its length in four little-endian bytes, then its bytes.",
            )
        found.append(bytes(raw[at : at + length]))
        at += length
    if len(found) != count:
        raise _other_count(name, count)
    return found


def pack_bytes(elements: NDArray[np.object_]) -> bytes:
    """A BYTES tensor in its binary form; text is written as UTF-8."""
    parts: list[bytes] = []
    for element in elements.ravel():
        raw = element if isinstance(element, bytes) else str(element).encode()
        parts += (_LENGTH.pack(len(raw)), raw)
    return b"".join(parts)


def _other_count(name: str, count: int) -> RequestError:
    return RequestError(
        f"Input '{name}' doesn't hold the {count} elements that its shape has.",
        "Make shape and data agree.",
    )

"""One input of a request, whichever way it came: how many elements, and the array that they make.

Sizes are checked against `Limits` and against each other before anything is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.errors import RequestError
from whet.serve.wire.datatypes import BYTES, NUMPY, unpack_bytes
from whet.serve.wire.limits import Limits

__all__ = [
    "Values",
    "check_names",
    "elements_of",
    "most_bytes_of",
    "numbers_of",
    "short",
    "values_of_bytes",
]

Values = NDArray[np.generic] | list[bytes]
"""An array of the shape; of a BYTES tensor its elements."""


def short(text: str) -> str:
    """A client's own word, as far as an error may repeat it."""
    return text if len(text) <= 64 and text.isprintable() else f"{text[:64]!a}..."


def check_names(what: str, names: Sequence[str], limits: Limits) -> None:
    """See to it that there aren't too many names, and each only once.

    Args:
        what: they name: ``"inputs"`` or ``"outputs"``.
        names: in order.
        limits: on how many.

    Raises:
        RequestError: there are, or one is twice.
    """
    if len(names) > limits.inputs:
        raise RequestError(f"{len(names)} {what} are too many; {limits.inputs} are taken.")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RequestError(f"'{short(twice)}' is twice among the {what}.", "Name each once.")


def elements_of(name: str, datatype: str, shape: Sequence[int], limits: Limits) -> int:
    """How many elements a tensor has; Python's own integers, so that nothing overflows.

    Raises:
        RequestError: datatype or shape is none, or they are too many.
    """
    if datatype not in NUMPY and datatype != BYTES:
        raise RequestError(
            f"Input '{short(name)}' has the datatype '{short(datatype)}', which isn't taken.",
            f"Take one of {', '.join([*NUMPY, BYTES])}.",
        )
    if len(shape) > limits.axes or any(not 0 <= size <= limits.elements for size in shape):
        raise RequestError(
            f"Input '{short(name)}' has a shape that no tensor has.", "Mend the shape."
        )
    count = math.prod(shape)
    if count > limits.elements:
        raise RequestError(
            f"Input '{short(name)}' has {count} elements; {limits.elements:,} are taken.",
            "Send fewer rows at once.",
            status=413,
        )
    return count


def most_bytes_of(datatype: str, count: int, limits: Limits) -> int:
    """Bytes that a tensor takes at the most."""
    return limits.body_bytes if datatype == BYTES else count * NUMPY[datatype].itemsize


def values_of_bytes(
    name: str, datatype: str, shape: Sequence[int], raw: memoryview, count: int
) -> Values:
    """A tensor from its bytes, without a copy.

    Raises:
        RequestError: they aren't as many as shape and datatype take, or hold what none has.
    """
    if datatype == BYTES:
        return unpack_bytes(raw, count, short(name))
    dtype = NUMPY[datatype]
    if len(raw) != count * dtype.itemsize:
        raise RequestError(
            f"Input '{short(name)}' has {len(raw)} bytes; its shape and datatype take"
            f" {count * dtype.itemsize}.",
            "Make shape, datatype and data agree.",
        )
    values = np.frombuffer(raw, dtype)
    if dtype.kind == "b" and count and values.view(np.uint8).max() > 1:
        raise RequestError(f"Input '{short(name)}' holds bytes that are neither 0 nor 1.")
    return values.reshape(shape)


def _holds_texts(data: Iterable[Any]) -> bool:
    """Whether there is a text at any depth; level by level, which costs little beside an array."""
    while True:
        kinds = set(map(type, data))
        if str in kinds:
            return True
        if list not in kinds:
            return False
        whole = data if kinds == {list} else (each for each in data if isinstance(each, list))
        data = list(chain.from_iterable(whole))


def numbers_of(name: str, datatype: str, data: Sequence[Any]) -> NDArray[np.generic]:
    """Lists of numbers, nested or flat, as an array, where the datatype has such numbers.

    Raises:
        RequestError: it has not, or rows are of unequal length.
    """
    dtype = NUMPY[datatype]
    if _holds_texts(data):  # as an array of texts, each would take as much as the longest
        raise RequestError(f"Input '{short(name)}' holds texts.", "Give numbers.")
    try:
        values = np.array(data) if len(data) else np.empty(0, dtype)
    except (ValueError, OverflowError, RecursionError) as error:
        raise RequestError(
            f"Input '{short(name)}' holds rows of unequal length.", "Mend it."
        ) from error
    taken = {"b": "b", "f": "fiu"}.get(dtype.kind, "iu")
    fits = values.dtype.kind in taken
    if fits and dtype.kind in "iu" and values.size:
        info = np.iinfo(dtype.name)
        fits = info.min <= int(values.min()) and int(values.max()) <= info.max
    if not fits and values.size:
        raise RequestError(
            f"Input '{short(name)}' holds values that are no {dtype.name}.",
            "Mend datatype or data.",
        )
    with np.errstate(over="ignore"):  # a number beyond FP32 is infinite there, as in any client
        return values.astype(dtype)

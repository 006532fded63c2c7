"""JSON as the protocol's clients write it: numbers that are no numbers too.

msgspec is several times as fast as the standard library, but refuses `NaN` and `Infinity`, which
public clients send, and writes them as `null`. Where they occur the standard library takes over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.errors import RequestError

__all__ = ["flattened", "nested_json", "numbers_json", "parsed"]

T = TypeVar("T")
_WORDS = (b"NaN", b"Infinity")


def parsed(raw: bytes | memoryview, kind: type[T], what: str) -> T:
    """JSON as a closed type.

    Args:
        raw: the text.
        kind: what it has to be.
        what: it is, for errors.

    Raises:
        RequestError: it is no JSON, of another shape, or nested too deeply.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise RequestError(f"The {what} can't be used: {error}.", "See the protocol.") from error
    except msgspec.DecodeError as error:
        if not any(word in bytes(raw) for word in _WORDS):
            raise RequestError(f"The {what} is no JSON: {error}.") from error
    except RecursionError as error:
        raise _too_deep(what) from error
    return _by_the_standard_library(bytes(raw), kind, what)


def _by_the_standard_library(raw: bytes, kind: type[T], what: str) -> T:
    try:
        text = raw.decode()
        if "\\ud" in text.lower():  # halves of characters, which no answer could repeat
            raise RequestError(f"The {what} holds half a character.", "Write texts as UTF-8.")
        return msgspec.convert(json.loads(text), kind)
    except msgspec.ValidationError as error:
        raise RequestError(f"The {what} can't be used: {error}.", "See the protocol.") from error
    except RecursionError as error:
        raise _too_deep(what) from error
    except ValueError as error:  # bytes that are no UTF-8 too
        raise RequestError(f"The {what} is no JSON: {error}.") from error


def _too_deep(what: str) -> RequestError:
    return RequestError(f"The {what} is nested too deeply.", "Send flat data.")


def numbers_json(values: NDArray[np.generic]) -> bytes:
    """A flat JSON list of numbers, with `NaN` and `Infinity` as the protocol's clients read them."""
    flat = values.ravel()
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        return f"[{','.join(map(_number, flat.tolist()))}]".encode()
    return msgspec.json.encode(flat.tolist())


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def flattened(data: Any) -> Iterable[Any]:
    """The values of nested lists, row by row."""
    stack = [iter(data)]
    while stack:
        for value in stack[-1]:
            if isinstance(value, list):
                stack.append(iter(value))
                break
            yield value
        else:
            stack.pop()


def nested_json(values: NDArray[np.generic]) -> bytes:
    """JSON lists in the array's shape; texts where it holds bytes."""
    if values.dtype == object or values.dtype.kind in "SU":
        return msgspec.json.encode(_texts(values.tolist()))
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return json.dumps(values.tolist(), separators=(",", ":")).encode()
    return msgspec.json.encode(values.tolist())


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_texts(each) for each in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value

"""JSON as it is allowed in a bundle: bounded before it is parsed, one meaning per text.

Refused: more bytes, nesting or nodes than the limit, text that is not UTF-8,
duplicate keys, numbers that are not finite or don't fit 64 bits, and control
characters in strings (they could steer a terminal that prints them). There is
one parser only, so two readers can't disagree about the same bytes.

What is written goes through the same rules: `encode` replaces control
characters (messages of foreign libraries carry colour codes) and refuses
numbers that are not finite, because JSON has none.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import msgspec

from whet.errors import BundleCorruptError, BundleError

__all__ = ["JsonLimits", "decode", "encode", "non_finite", "parse", "to_struct"]

T = TypeVar("T")

# Strings are skipped as wholes, so brackets inside them don't count; one that never ends is
# skipped to the end, else each quote inside it would begin another search to there.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
# C0 without tab and newline, DEL and C1, lone surrogates, overrides of the writing direction.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_REMEDY = "The file was damaged or changed; get the bundle again from where it was made."


@dataclass(frozen=True)
class JsonLimits:
    """Bounds that hold before anything is allocated for the values.

    Attributes:
        size_bytes: of the text.
        depth: of nested objects and arrays.
        nodes: objects, arrays and commas together; bounds the memory of the values.
    """

    size_bytes: int
    depth: int = 64
    nodes: int = 200_000


class _RefusedError(ValueError):
    """Raised inside the parser's hooks; never leaves this file."""


def parse(data: bytes, what: str, limits: JsonLimits) -> object:
    """Parse hostile JSON into plain values.

    Args:
        data: the text.
        what: the file's name for messages.
        limits: what is allowed.

    Raises:
        BundleCorruptError: anything that the module's docstring lists.
    """
    if len(data) > limits.size_bytes:
        raise BundleCorruptError(
            f"'{what}' has {len(data)} bytes; {limits.size_bytes} are allowed.", _REMEDY
        )
    _scan(data, what, limits)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError and _RefusedError
        raise BundleCorruptError(f"'{what}' is not valid JSON: {error}.", _REMEDY) from error
    _refuse_control(value, what)
    return value


def decode(data: bytes, kind: type[T], what: str, limits: JsonLimits) -> T:
    """Parse and convert to a closed msgspec struct.

    Raises:
        BundleCorruptError: not allowed as JSON, or not of this type.
    """
    return to_struct(parse(data, what, limits), kind, what)


def to_struct(value: object, kind: type[T], what: str) -> T:
    """Convert plain values to a closed msgspec struct.

    Raises:
        BundleCorruptError: a field is missing, unknown or of another type.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BundleCorruptError(f"'{what}' breaks the format: {error}.", _REMEDY) from error


def encode(value: msgspec.Struct, what: str) -> bytes:
    """Indented JSON of a struct, free of control characters; ends with a newline.

    Raises:
        BundleError: a number is not finite.
    """
    plain = _clean(msgspec.to_builtins(value))
    where = non_finite(plain)
    if where is not None:
        raise BundleError(
            f"'{what}' can't be written: {where} is not a finite number.",
            "Leave out the figure that could not be measured.",
        )
    return msgspec.json.format(msgspec.json.encode(plain), indent=1) + b"\n"


def non_finite(value: object, where: str = "$") -> str | None:
    """The path of the first number that is NaN or infinite, or ``None``.

    Args:
        value: a struct or plain values.
        where: the path of ``value`` itself.
    """
    if isinstance(value, float):
        return None if math.isfinite(value) else where
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    items: Any = ()
    if isinstance(value, dict):
        items = ((f"{where}.{key}", inner) for key, inner in value.items())
    elif isinstance(value, list | tuple):
        items = ((f"{where}[{index}]", inner) for index, inner in enumerate(value))
    return next((found for path, inner in items if (found := non_finite(inner, path))), None)


def _scan(data: bytes, what: str, limits: JsonLimits) -> None:
    depth = nodes = 0
    for match in _TOKENS.finditer(data):
        token = match.group()
        if token in b"[{":
            depth += 1
            nodes += 1
            if depth > limits.depth:
                raise BundleCorruptError(
                    f"'{what}' nests deeper than {limits.depth} levels.", _REMEDY
                )
        elif token in b"]}":
            depth -= 1
        elif token == b",":
            nodes += 1
        if nodes > limits.nodes:
            raise BundleCorruptError(f"'{what}' has more than {limits.nodes} values.", _REMEDY)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in pairs:
        if key in made:
            raise _RefusedError(f"the key {key[:100]!r} occurs twice")
        made[key] = value
    return made


def _constant(text: str) -> NoReturn:
    raise _RefusedError(f"{text} is not a finite number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError(f"{text[:40]} is not a finite number")
    return value


def _int(text: str) -> int:
    # 20 characters hold every 64-bit integer; longer ones are refused before they are built.
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise _RefusedError(f"the integer {text[:40]} doesn't fit 64 bits")
    return int(text)


def _refuse_control(value: object, what: str) -> None:
    if isinstance(value, str):
        if _CONTROL.search(value) is not None:
            raise BundleCorruptError(f"'{what}' holds control characters in a text.", _REMEDY)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _refuse_control(key, what)
            _refuse_control(inner, what)
    elif isinstance(value, list):
        for inner in value:
            _refuse_control(inner, what)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return _CONTROL.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_clean(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value

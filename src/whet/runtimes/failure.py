"""Errors of foreign engines, turned into ours at the border."""

from __future__ import annotations

import re

from whet.errors import EngineError, UnsupportedOperatorError

__all__ = ["engine_error", "gist"]

# Lines of OpenVINO's and ONNX Runtime's messages that only say where in their own
# sources the error was raised.
_NOISE = re.compile(
    r"^(Exception from |Check '|FrontEnd API failed|Model wasn't fully converted|Summary:"
    r"|\[ONNXRuntimeError\] : \d+ : \w+ : ?$)"
)
_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_OPERATOR = re.compile(
    r"not a registered function/op|could not find an implementation|does not support the following"
    r"|no conversion rule|unsupported op|no opset import|is not supported.*opset|missing operator",
    re.IGNORECASE,
)
_LONGEST = 240


def gist(error: BaseException) -> str:
    """The first line of a foreign message that says most, without a final stop."""
    lines = (_PREFIX.sub("", line.strip().removeprefix("-- ")) for line in str(error).splitlines())
    telling = [line for line in lines if line and not _NOISE.match(line)]
    # A missing operator makes others fail that depend on it; it is the one to name.
    telling = [line for line in telling if _OPERATOR.search(line)] or telling
    text = telling[0] if telling else type(error).__name__
    if text.endswith(":") and len(telling) > 1:
        text = f"{text} {telling[1]}"
    return (text if len(text) <= _LONGEST else text[:_LONGEST] + "...").rstrip(".")


def engine_error(runtime: str, doing: str, error: BaseException, remedy: str) -> EngineError:
    """An `EngineError` (or its subclass for a missing operator) that quotes ``error``.

    Args:
        runtime: name of the runtime.
        doing: what it was asked for, e.g. ``"compile model.onnx"``.
        error: what it raised.
        remedy: what to do about it.
    """
    kind = UnsupportedOperatorError if _OPERATOR.search(str(error)) else EngineError
    return kind(f"The runtime '{runtime}' could not {doing}: {gist(error)}.", remedy)

"""What a foreign error says, as a part of a sentence of ours."""

from __future__ import annotations

__all__ = ["first_line", "kind_and_line", "last_line"]

_LONGEST = 300


def first_line(error: BaseException) -> str:
    """The first line of its message without a final stop; its type where it says nothing."""
    return _line(error, 0) or type(error).__name__


def last_line(error: BaseException) -> str:
    """The last line likewise: OpenVINO's messages start with source positions."""
    return _line(error, -1) or type(error).__name__


def kind_and_line(error: BaseException) -> str:
    """``"ValueError: the first line"``, for errors that mean little without their type."""
    line = _line(error, 0)
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _line(error: BaseException, which: int) -> str:
    lines = str(error).strip().splitlines()
    return lines[which].strip().rstrip(". ")[:_LONGEST] if lines else ""

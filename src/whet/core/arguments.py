"""Arguments of the public verbs, which Python takes of any type; pure.

What can only mean one thing is taken as that (a numpy integer, one name where several may stand);
the rest is refused here, where it still has the name under which the user gave it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from numbers import Integral, Real
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from whet.errors import OptionError

__all__ = [
    "count_of",
    "event_of",
    "flag_of",
    "function_of",
    "instance_of",
    "maybe",
    "names_of",
    "number_of",
    "one_of",
    "path_of",
    "seconds_of",
    "text_of",
    "whole_of",
]

T = TypeVar("T")


@runtime_checkable
class _Settable(Protocol):
    """An event of ``threading`` or ``multiprocessing``."""

    def is_set(self) -> bool: ...


def maybe(read: Callable[[str, object], T], name: str, value: object) -> T | None:
    """What one of the other functions makes of a value; ``None`` stays.

    Args:
        read: the other function.
        name: of the argument.
        value: given.

    Raises:
        OptionError: ``read`` refuses it.
    """
    return None if value is None else read(name, value)


def path_of(name: str, value: object) -> Path:
    """A path.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise _wrong(name, value, "path", "Give a str or a pathlib.Path.")
    return Path(value)


def text_of(name: str, value: object) -> str:
    """A text.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(value, str):
        raise _wrong(name, value, "text", "Give a str.")
    return value


def one_of(name: str, value: object, choices: tuple[T, ...]) -> T:
    """One of several values.

    Raises:
        OptionError: it is none of them.
    """
    for choice in choices:
        if isinstance(value, type(choice)) and value == choice:
            return choice
    listed = " or ".join(repr(choice) for choice in choices)
    raise OptionError(f"{name}={_shown(value)} is not known.", f"Give {listed}.")


def names_of(name: str, value: object) -> tuple[str, ...]:
    """One or several names; a single one needs no list around it.

    Raises:
        OptionError: none at all, or something else. A set is refused as well: it has no order.
    """
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, tuple | list) or not all(isinstance(one, str) for one in names):
        raise _wrong(name, value, "list of names", "Give a list or a tuple of str.")
    if not names:
        raise OptionError(f"{name}={value!r} names nothing.", "Name at least one, or leave it out.")
    return tuple(names)


def flag_of(name: str, value: object) -> bool:
    """True or false. A text is neither: ``"no"`` would be true.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(value, bool):
        raise OptionError(
            f"{name}={_shown(value)} is neither true nor false.", "Give True or False."
        )
    return value


def whole_of(name: str, value: object) -> int:
    """A whole number.

    Raises:
        OptionError: it is something else.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise _wrong(name, value, "whole number", "Give an int.")
    return int(value)


def number_of(name: str, value: object) -> float:
    """A finite number.

    Raises:
        OptionError: it is something else.
    """
    number = _real(value)
    if number is None or not math.isfinite(number):
        raise _wrong(name, value, "number", "Give an int or a float.")
    return number


def seconds_of(name: str, value: object) -> float:
    """A positive number of seconds.

    Raises:
        OptionError: it is something else.
    """
    number = _real(value)
    if number is None or not number > 0:
        raise _wrong(name, value, "time", "Give seconds above 0, or None for no limit.")
    return number


def count_of(name: str, value: object) -> int:
    """A whole number from 1 on.

    Raises:
        OptionError: it is something else.
    """
    number = whole_of(name, value)
    if number < 1:
        raise OptionError(f"{name}={number} can't be.", "Give 1 or more.")
    return number


def function_of(name: str, value: Callable[..., T]) -> Callable[..., T]:
    """Something that can be called.

    Raises:
        OptionError: it can't.
    """
    if not callable(value):
        raise _wrong(name, value, "function", "Give something that can be called.")
    return value


def event_of(name: str, value: T) -> T:
    """Something that is set to say a thing once.

    Raises:
        OptionError: it is something else.
    """
    # A class has the method too, and can't be asked.
    if not isinstance(value, _Settable) or isinstance(value, type):
        raise _wrong(name, value, "event", "Give a threading.Event, and set it when it is time.")
    return value


def instance_of(name: str, value: T, kinds: tuple[type, ...], remedy: str) -> T:
    """An instance of one of several classes.

    Args:
        name: of the argument.
        value: given.
        kinds: the classes.
        remedy: for another.

    Raises:
        OptionError: it is of another.
    """
    if not isinstance(value, kinds):
        raise OptionError(f"{name} is a {type(value).__name__}: {_shown(value)}.", remedy)
    return value


def _real(value: object) -> float | None:
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _wrong(name: str, value: object, wanted: str, remedy: str) -> OptionError:
    return OptionError(f"{name}={_shown(value)} is no {wanted}.", remedy)


def _shown(value: object) -> str:
    """As Python would write it, cut; where that fails, only what kind of thing it is."""
    try:
        return f"{value!r:.60}"
    except Exception:  # noqa: BLE001 - a repr of any kind; Python writes no huge numbers either
        return f"<{type(value).__name__}>"

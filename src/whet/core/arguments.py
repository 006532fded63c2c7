"""Arguments of the public verbs, which Python takes of any type; pure."""

from __future__ import annotations

import math
import os
from pathlib import Path

from whet.errors import OptionError

__all__ = ["path_of", "seconds_of"]


def path_of(name: str, value: object) -> Path | None:
    """A path, or ``None``.

    Args:
        name: of the argument.
        value: given.

    Raises:
        OptionError: it is something else.
    """
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise OptionError(f"{name}={value!r:.60} is no path.", "Give a str or a pathlib.Path.")
    return Path(value)


def seconds_of(name: str, value: object) -> float | None:
    """A positive number of seconds, or ``None``.

    Args:
        name: of the argument.
        value: given.

    Raises:
        OptionError: it is something else.
    """
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not float(value) > 0 or math.isnan(value):  # type: ignore[arg-type]
        raise OptionError(
            f"{name}={value!r:.60} is no time.", "Give seconds above 0, or None for no limit."
        )
    return float(value)  # type: ignore[arg-type]

"""Figures with their units, for the parts that don't render."""

from __future__ import annotations

import math

__all__ = ["TINY", "bytes_words", "drop_words", "round_up_bytes", "seconds_words"]

TINY = 1e-4  # a drop below it, told in four decimals, would look like none

_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_words(value: int) -> str:
    """Decimal units and three significant digits: ``"149 kB"``, ``"1 kB"``, ``"25.6 MB"``."""
    power, size = 0, float(value)
    while size >= 999.5 and power < len(_UNITS) - 1:
        size /= 1000
        power += 1
    return f"{size:.3g} {_UNITS[power]}"


def drop_words(drop: float) -> str:
    """A drop of quality with four decimals, or two digits where they say more.

    ``"0.0031"``, ``"0.00012"``, ``"1.7e-6"``; ``"0"`` is exactly none.
    """
    if drop == 0:
        return "0"
    if abs(drop) >= 10 * TINY or not math.isfinite(drop):
        return f"{drop:.4f}"
    if abs(drop) >= TINY:
        return f"{drop:#.2g}"
    number, _, power = f"{drop:.1e}".partition("e")
    return f"{number}e{int(power)}"


def round_up_bytes(value: int) -> int:
    """The next number of bytes that three significant digits can show: a limit that suffices."""
    step = int("1" + "0" * max(0, len(str(value)) - 3))
    return -(-value // step) * step


def seconds_words(value: float) -> str:
    """Seconds in a sentence: whole ones, and two digits below ten: ``"15 s"``, ``"1.5 s"``."""
    return f"{value:.2g} s" if value < 9.95 else f"{value:.0f} s"

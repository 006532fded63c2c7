"""Figures with their units, for the parts that don't render."""

from __future__ import annotations

__all__ = ["bytes_words", "round_up_bytes"]

_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_words(value: int) -> str:
    """Decimal units and three significant digits: ``"149 kB"``, ``"1 kB"``, ``"25.6 MB"``."""
    power, size = 0, float(value)
    while size >= 999.5 and power < len(_UNITS) - 1:
        size /= 1000
        power += 1
    return f"{size:.3g} {_UNITS[power]}"


def round_up_bytes(value: int) -> int:
    """The next number of bytes that three significant digits can show: a limit that suffices."""
    step = int("1" + "0" * max(0, len(str(value)) - 3))
    return -(-value // step) * step

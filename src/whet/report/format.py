"""Numbers with units, with the same number of significant digits everywhere.

Three significant digits are shown, because no figure in a report is known
better than to a part in a thousand. An interval is shown with as many
decimals as its value, so that the two can be compared at a glance. The minus
sign is the real one (U+2212) and a value that isn't known is a dash.
"""

from __future__ import annotations

import math
import re

from whet.core.evidence import Ratio
from whet.core.units import TINY

__all__ = [
    "DASH",
    "allowed",
    "big",
    "bytes_text",
    "certainty",
    "decimals",
    "duration",
    "fixed",
    "given_percent",
    "limit_ms",
    "lost",
    "metric_label",
    "metric_unit",
    "metric_value",
    "millijoules",
    "ms",
    "ms_interval",
    "percent",
    "percentile",
    "plural",
    "ratio",
    "ratio_interval",
    "significant",
    "unbroken",
]

DASH = "–"
_DIGITS = 3
_UNIT = re.compile(r"(?<=\d) (?=(?:%|pt|ms|µs|s|B|kB|MB|GB)(?!\w))")

# Metrics that are shares: shown in percent, their differences in points.
_SHARES = frozenset({"top1", "top5", "f1", "agreement", "spearman"})
_LABELS = {
    "top1": "top-1",
    "top5": "top-5",
    "f1": "F1",
    "cosine": "cosine to the original",
    "closeness": "closeness to the original",
    "spearman": "Spearman",
    "mae": "mean absolute error",
    "agreement": "top-1 agreement",
}


def decimals(value: float, digits: int = _DIGITS) -> int:
    """Decimals that show ``value`` with ``digits`` significant digits, never negative."""
    if value == 0 or not math.isfinite(value):
        return digits - 1
    shown = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    # 9.996 rounds up to 10.00, which has a digit too many.
    if shown and abs(round(value, shown)) >= 10 ** (digits - shown):
        shown -= 1
    return shown


def fixed(value: float, places: int) -> str:
    """``value`` with so many decimals, thousands grouped, a real minus, no negative zero."""
    if not math.isfinite(value):
        return DASH
    text = f"{value:,.{places}f}"
    if text.startswith("-") and not any(c in "123456789" for c in text):
        text = text[1:]
    return text.replace("-", "\u2212")


def significant(value: float, digits: int = _DIGITS) -> str:
    """``value`` with so many significant digits, without exponents."""
    return fixed(value, decimals(value, digits))


def ms(value: float | None) -> str:
    """A duration given in milliseconds: ``"3.21 ms"``, ``"812 µs"``, ``"1.20 s"``."""
    if value is None or not math.isfinite(value):
        return DASH
    scale, unit = _ms_unit(value)
    return f"{significant(value * scale)} {unit}"


def limit_ms(value: float) -> str:
    """A limit as it was given, without digits that nobody asked for: ``"5 ms"``."""
    scale, unit = _ms_unit(value)
    return f"{value * scale:g} {unit}"


def ms_interval(low: float | None, high: float | None, like: float) -> str:
    """An interval in the unit and decimals of the value ``like``: ``"3.10 to 3.34"``.

    One that reaches into another unit names both: ``"68.6 µs to 8.13 ms"``.
    """
    scale, unit = _ms_unit(like)
    places = decimals(like * scale)
    if low is None and high is None:
        return ""
    if low is not None and high is not None and _ms_unit(high)[1] != unit:
        return f"{ms(low)} to {ms(high)}"
    if high is None:
        return f"≥ {fixed((low or 0.0) * scale, places)}"
    if low is None:
        return f"≤ {fixed(high * scale, places)}"
    return f"{fixed(low * scale, places)} to {fixed(high * scale, places)}"


def percentile(q: float) -> str:
    """``"p99"``, ``"p99.9"``."""
    return f"p{q:g}"


def ratio(value: float | None) -> str:
    """``"5.21×"``."""
    return DASH if value is None or not math.isfinite(value) else f"{significant(value)}×"


def ratio_interval(speedup: Ratio) -> str:
    """``"5.02 to 5.40"``, with the decimals of the value."""
    places = decimals(speedup.value)
    return f"{fixed(speedup.low, places)} to {fixed(speedup.high, places)}"


def certainty(speedup: Ratio) -> str:
    """What keeps a speed-up from being a difference; empty where it is one."""
    if speedup.noisy:
        return "too noisy to call"
    return "no clear difference" if speedup.low <= 1 <= speedup.high else ""


def millijoules(value: float | None) -> str:
    """``"3.20 mJ"``."""
    return DASH if value is None or not math.isfinite(value) else f"{significant(value)} mJ"


def bytes_text(value: float | None) -> str:
    """Decimal units, as disks are sold: ``"25.6 MB"``."""
    if value is None:
        return DASH
    return _scaled(float(value), ("B", "kB", "MB", "GB", "TB"))


def big(value: float | None, unit: str = "") -> str:
    """Counts and rates: ``"25.6 M"``, ``"1.84 TFLOP/s"`` with ``unit="FLOP/s"``."""
    if value is None:
        return DASH
    return _scaled(
        float(value), tuple(f"{prefix}{unit}" for prefix in ("", "k", "M", "G", "T", "P"))
    )


def percent(share: float | None, digits: int = _DIGITS) -> str:
    """A share (0-1) in percent: ``"97.5 %"``."""
    return (
        DASH
        if share is None or not math.isfinite(share)
        else f"{significant(share * 100, digits)} %"
    )


def given_percent(share: float) -> str:
    """A share as the user gave it, unrounded: ``"99.95 %"``."""
    return f"{share * 100:.6g} %"


def unbroken(sentence: str) -> str:
    """The same words with every figure kept on one line with its unit."""
    return _UNIT.sub("\u00a0", sentence)


def duration(seconds: float) -> str:
    """``"4.2 s"``, ``"3 min 20 s"``, ``"1 h 05 min"``."""
    if not math.isfinite(seconds):
        return DASH
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plural(count: int, noun: str, more: str | None = None) -> str:
    """``"1 sample"``, ``"2,000 samples"``."""
    return f"{count:,} {noun if count == 1 else more or noun + 's'}"


def metric_label(metric: str) -> str:
    """The metric's name in running text."""
    return _LABELS.get(metric, metric)


def metric_unit(metric: str) -> tuple[float, str]:
    """Scale and unit in which a difference of this metric is shown."""
    return (100.0, "pt") if metric in _SHARES else (1.0, "")


def metric_value(metric: str, value: float) -> str:
    """A value of the metric: shares in percent, others as they are."""
    if metric in _SHARES:
        return f"{fixed(value * 100, 2)} %"
    return fixed(value, 4) if metric in {"cosine", "closeness"} else significant(value, 4)


def lost(metric: str, drop: float) -> str:
    """A loss of quality with its unit: ``"0.35 pt"``, ``"0.0023"``, ``"1.7e−6"``; negative is a gain."""
    if not math.isfinite(drop):
        return DASH
    scale, unit = metric_unit(metric)
    value = drop * scale
    if 0 < abs(value) < TINY:
        number, _, power = f"{value:.1e}".partition("e")
        return f"{number}e{int(power)} {unit}".rstrip().replace("-", "\u2212")
    if unit:
        return f"{fixed(value, max(2, decimals(value, 1)) if value else 2)} {unit}"
    return fixed(value, max(4, decimals(value, 2)) if abs(value) < 1 else 2)


def allowed(metric: str, drop: float) -> str:
    """An allowed loss as it was given: ``"1 pt"``."""
    scale, unit = metric_unit(metric)
    return f"{drop * scale:.4g} {unit}".rstrip()


def _ms_unit(value: float) -> tuple[float, str]:
    size = abs(value)
    if 0 < size < 0.9995:
        return 1e3, "µs"
    return (1e-3, "s") if size >= 999.5 else (1.0, "ms")


def _scaled(value: float, units: tuple[str, ...]) -> str:
    if not math.isfinite(value):
        return DASH
    power = 0
    while abs(value) >= 999.5 and power < len(units) - 1:
        value /= 1000
        power += 1
    number = f"{value:,.0f}" if power == 0 and value == int(value) else significant(value)
    return f"{number} {units[power]}".rstrip()

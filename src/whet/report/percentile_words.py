"""A latency in words: its percentile, its interval, and why it is another one than was asked for."""

from __future__ import annotations

from whet.core.evidence import Latency, Percentile
from whet.report import format as fmt

__all__ = ["interval_words", "why_another"]

_VAGUE = 2.0  # an interval whose ends differ by more says little


def interval_words(point: Percentile) -> str:
    """``"interval 250 µs to 312 µs"``; empty where there is none."""
    low, high = point.low_ms, point.high_ms
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"at most {fmt.ms(high)}" if low is None else f"at least {fmt.ms(low)}"
    doubt = ", too wide to say much" if high > _VAGUE * low else ""
    return f"interval {fmt.ms(low)} to {fmt.ms(high)}{doubt}"


def why_another(latency: Latency | None, asked: float) -> str:
    """Why the percentile that was asked for isn't given; empty where it is."""
    # numpy comes with it, and the command line must load without.
    from whet.measure.statistics import queries_needed

    if latency is None or latency.at(asked) is not None:
        return ""
    need = queries_needed(asked)
    if latency.queries >= need:
        return f"{fmt.percentile(asked)} was not measured"
    return f"{fmt.percentile(asked)} takes {need:,} queries, {latency.queries:,} were had"

"""Whether a cascade fits into the time left, and how much of its timing; pure."""

from __future__ import annotations

from whet.search.budget.budget import START_S

__all__ = ["affords_cascade", "cascade_s", "queries_that_fit"]

_LEAST_TIMING_S = 10.0
_MOST_TIMING_S = 120.0
_SHARE = 0.5  # of the time left before packing, that timing the means may take
_LEAST_QUERIES = 50  # two of each turn
_PROCESSES = 9  # one that certifies, two more contenders in the last race's restarts, six that time
_RACED = 4  # passes over the certify rows as slow as the original's: executed, then timed


def affords_cascade(left_s: float, rows: int, row_ms: float) -> bool:
    """Whether certifying and timing a cascade fits into what closing doesn't need.

    Args:
        left_s: without the reserve for closing.
        rows: of the certify part.
        row_ms: of the best untouched engine: no cascade of use is slower in the mean.
    """
    return left_s >= cascade_s(rows, row_ms)


def cascade_s(rows: int, row_ms: float) -> float:
    """Seconds that certifying and timing a cascade takes.

    Args:
        rows: of the certify part.
        row_ms: of the best untouched engine.
    """
    passes_s = min(_RACED * rows * row_ms / 1e3, rows * row_ms / 1e3 + _MOST_TIMING_S)
    return _PROCESSES * START_S + max(_LEAST_TIMING_S, passes_s)


def queries_that_fit(queries: int, each_ms: float, left_s: float) -> int:
    """Queries whose means are timed: all, or as many as half of the time left and 2 min hold.

    Args:
        queries: that the certify part makes.
        each_ms: that one takes, of all contenders and restarts together.
        left_s: of the whole budget.
    """
    seconds = min(_MOST_TIMING_S, max(_LEAST_TIMING_S, _SHARE * left_s))
    fitting = int(seconds * 1e3 / max(each_ms, 1e-6))
    return max(min(queries, _LEAST_QUERIES), min(queries, fitting))

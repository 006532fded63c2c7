"""How long an engine may take to answer before it counts as hanging; pure.

An engine that never ends must cost a candidate and not the search. What is usual is
known: the original answered its first rows, and a candidate was timed before it is judged.
The limit is a generous multiple of that, cut to the time left, but not below what the
engine should need on a restless machine. The original and untouched engines get more room
to start, since everything rests on them (and torch takes long to start).
"""

from __future__ import annotations

__all__ = ["answer_limit_s", "step_limit_s"]

_MANY = 10.0  # times what is usual; beyond that it hangs
_FEW = 3.0  # times what is usual, given whatever time is left
_START_S = 30.0  # opening an engine, on a busy machine
_LEAST_START_S = 10.0
_STEP_S = 180.0  # of a race


def answer_limit_s(
    rows: int, *, original_ms: float, own_ms: float | None, left_s: float, must: bool = False
) -> float:
    """Seconds that an engine may take from its start until it has answered ``rows``.

    Args:
        rows: to be answered.
        original_ms: what the original takes for one.
        own_ms: what the engine took for one, where it was timed.
        left_s: that may be spent on it.
        must: the search can't do without its answers, whatever time is left.
    """
    own_s = rows * (original_ms if own_ms is None else own_ms) / 1e3
    most_s = _START_S + _MANY * max(own_s, rows * original_ms / 1e3)
    least_s = (_START_S if must else _LEAST_START_S) + _FEW * own_s
    return max(least_s, min(most_s, left_s))


def step_limit_s(rows: int, *, original_ms: float, left_s: float) -> float:
    """Seconds that one step of a quick race (start, warm-up, turn) may take.

    Args:
        rows: under way at once: those of a query, times the callers.
        original_ms: what the original takes for one.
        left_s: that may be spent on it.
    """
    least_s = min(_STEP_S, _START_S + _MANY * rows * original_ms / 1e3)
    return max(least_s, min(_STEP_S, left_s))

"""Behind which blocks a network is tried to end, and over how many samples its head; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from whet.optimize.network.exits.point import Point

__all__ = ["chosen_points", "rows_that_fit", "share_of_time"]

_WANTED = (1 / 2, 1 / 4, 3 / 4)  # shares of the time: the middle says most, so it comes first
_MOST = 0.85  # share from which on nothing is gained by leaving
_ROWS = (256, 8192)  # that a head is fitted to at least and at most


def chosen_points(points: Iterable[Point], ms: Mapping[str, float]) -> tuple[Point, ...]:
    """The blocks nearest to a half, a quarter and three quarters of the network's time, each once.

    Args:
        points: all that there are, in order.
        ms: what blocks take, where it is known; else their arithmetic tells.
    """
    shares = {point: share_of_time(point, ms) for point in points}
    left = {point: share for point, share in shares.items() if share < _MOST}
    found: list[Point] = []
    for wanted in _WANTED:
        if left:
            found.append(min(left, key=lambda point: abs(left[point] - wanted)))
            del left[found[-1]]
    return tuple(found)


def share_of_time(point: Point, ms: Mapping[str, float]) -> float:
    """The share of the network's time until there: of its blocks', where all are known."""
    if not ms or any(block not in ms for block in point.before):
        return point.share
    return sum(ms[block] for block in point.before) / sum(ms.values())


def rows_that_fit(seconds: float, row_ms: float) -> int:
    """Samples that a head can be fitted to, a power of two; 0 where they are too few.

    Args:
        seconds: that answering them may take.
        row_ms: that the original takes for one.
    """
    least, most = _ROWS
    fit = int(min(most, 1e3 * seconds / max(row_ms, 1e-6)))
    return 1 << (fit.bit_length() - 1) if fit >= least else 0

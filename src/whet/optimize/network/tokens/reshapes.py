"""Which sizes of a reshape change where there are fewer tokens; pure.

Axes of what comes in and of what goes out belong together from left to right where as many values
lie in them. Of those that tokens come in with, the axis goes out with tokens that has as many, or
as many for each of something else (rows and tokens laid out as one axis).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["sizes_for_fewer"]

_Axes = list[int]


def sizes_for_fewer(
    was: Sequence[int], now: Sequence[int], gives: Sequence[int], before: int, count: int
) -> dict[int, int] | None:
    """The new sizes, by axis; ``None`` where it can't be told which they are.

    Args:
        was: sizes of what comes in, of all tokens.
        now: the same of fewer.
        gives: sizes of what goes out, of all tokens.
        before: how many tokens there were.
        count: how many there are.
    """
    found: dict[int, int] = {}
    for into, out in _together(was, gives):
        if all(was[axis] == now[axis] for axis in into):
            continue
        exact = [axis for axis in out if gives[axis] == before]
        several = exact or [axis for axis in out if gives[axis] % before == 0]
        if len(several) != 1:
            return None
        (axis,) = several
        found[axis] = gives[axis] // before * count
    return found


def _together(was: Sequence[int], gives: Sequence[int]) -> Iterator[tuple[_Axes, _Axes]]:
    """Axes that hold the same values before and after; none of their sizes is 0."""
    i, j = 0, 0
    while i < len(was) or j < len(gives):
        into, out, before, after = _Axes(), _Axes(), 1, 1
        while not (into or out) or before != after:
            if (before <= after and i < len(was)) or j == len(gives):
                into.append(i)
                before *= was[i]
                i += 1
            else:
                out.append(j)
                after *= gives[j]
                j += 1
        yield into, out

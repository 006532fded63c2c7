"""Sizes of reshapes with fewer tokens, held to axes that are put together from the same parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.network.tokens.reshapes import sizes_for_fewer

TOKENS, FEWER = 37, 19  # no product of other parts is a multiple of it


def laid_out(parts: Sequence[int], cuts: Sequence[bool]) -> list[int]:
    """Parts as axes: neighbours that aren't cut apart are one axis."""
    axes = [[parts[0]]]
    for part, apart in zip(parts[1:], cuts, strict=False):
        if apart:
            axes.append([])
        axes[-1].append(part)
    return [math.prod(axis) for axis in axes]


others = st.lists(st.integers(1, 9), min_size=0, max_size=4)
cuts = st.lists(st.booleans(), min_size=9, max_size=9)


@given(others, others, cuts, cuts)
def test_the_axis_with_tokens_has_fewer_and_all_others_stay(
    before: list[int], behind: list[int], into: list[bool], out: list[bool]
) -> None:
    all_, fewer = ([*before, count, *behind] for count in (TOKENS, FEWER))
    was, now, gives = laid_out(all_, into), laid_out(fewer, into), laid_out(all_, out)
    found = sizes_for_fewer(was, now, gives, TOKENS, FEWER)
    assert found is not None
    assert [found.get(axis, size) for axis, size in enumerate(gives)] == laid_out(fewer, out)
    assert len(found) == 1


def test_what_comes_in_without_tokens_goes_out_as_it_did() -> None:
    assert sizes_for_fewer([2, 37], [2, 37], [74], 37, 19) == {}


def test_it_isnt_told_where_two_axes_might_hold_them() -> None:
    assert sizes_for_fewer([8 * 8], [8 * 5], [8, 8], 8, 5) is None
    assert sizes_for_fewer([2, 64], [2, 40], [2, 16, 4], 64, 40) is None  # a map again

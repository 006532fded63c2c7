from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.network.exits.point import Point
from whet.search.decisions.exits import chosen_points, rows_that_fit, share_of_time

NAMES = "abcdefgh"
POINTS = tuple(Point(n, (k + 1) / 9, tuple(NAMES[: k + 1])) for k, n in enumerate(NAMES))


def test_a_half_a_quarter_and_three_quarters_of_the_arithmetic() -> None:
    assert [p.block for p in chosen_points(POINTS, {})] == ["d", "b", "g"]


def test_times_go_before_arithmetic_where_all_are_known() -> None:
    """The first block takes half of the time: what lies behind it counts from there."""
    ms = dict.fromkeys(NAMES, 1.0) | {"a": 9.0, "head": 1.0}
    assert share_of_time(POINTS[0], ms) == 9 / 17
    assert [p.block for p in chosen_points(POINTS, ms)] == ["a", "b", "e"]
    assert share_of_time(POINTS[0], {"b": 1.0}) == 1 / 9


def test_what_comes_too_late_is_no_exit_and_few_blocks_are_all_tried() -> None:
    late = Point("late", 0.95, ("late",))
    early = Point("early", 0.01, ("early",))
    assert chosen_points([early, late], {}) == (early,)
    assert chosen_points([late], {}) == ()


@given(st.lists(st.floats(0.01, 0.99), max_size=9, unique=True))
def test_each_is_chosen_once_and_three_at_most(shares: list[float]) -> None:
    points = [Point(str(k), share, (str(k),)) for k, share in enumerate(sorted(shares))]
    found = chosen_points(points, {})
    assert len(set(found)) == len(found) == min(3, sum(share < 0.85 for share in shares))


def test_rows_are_a_power_of_two_as_the_time_allows() -> None:
    assert rows_that_fit(10.0, 10.0) == 512
    assert rows_that_fit(1e9, 1.0) == 8192
    assert rows_that_fit(float("inf"), 1.0) == 8192
    assert rows_that_fit(1.0, 10.0) == rows_that_fit(-5.0, 1.0) == 0

from __future__ import annotations

from whet.search.budget import Budget


def test_climbing_leaves_the_reserve_for_closing() -> None:
    budget = Budget(100.0, 60.0).reserving(20.0)
    assert budget.left_s(110.0) == 50.0
    assert budget.climbing_s(110.0) == 30.0
    assert budget.affords(110.0, 30.0)
    assert not budget.affords(110.0, 30.1)
    assert budget.left_s(1000.0) == 0.0


def test_the_reserve_never_eats_more_than_half() -> None:
    assert Budget(0.0, 60.0).reserving(500.0).closing_s == 30.0


def test_without_a_total_there_is_always_time() -> None:
    assert Budget(0.0, None).reserving(500.0).affords(1e9, 1e9)


def test_a_climb_that_ends_early_leaves_the_reserve_and_no_more() -> None:
    ended = Budget(100.0, 600.0).reserving(40.0).ended(130.0)
    assert ended.left_s(130.0) == 40.0
    assert ended.climbing_s(130.0) == 0.0
    assert Budget(100.0, 60.0).reserving(20.0).ended(155.0).left_s(155.0) == 5.0
    assert Budget(0.0, None).reserving(30.0).ended(1000.0).left_s(1000.0) == 30.0

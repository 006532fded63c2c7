from __future__ import annotations

import pytest

from whet.search.budget.budget import Budget, closing_reserve_s, packing_s, race_s


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


def test_the_reserve_holds_the_last_race_and_packing() -> None:
    assert closing_reserve_s(2.0, 600.0) == 2.0 + 45.0 + 12.0
    assert closing_reserve_s(2.0, None) == 2.0 + 45.0 + 12.0
    assert closing_reserve_s(0.0, 100.0) == 20.0 + 10.0


def test_a_short_budget_is_not_held_back_for_what_it_can_do_without() -> None:
    """60 s hold the untouched graph twice, one int8 candidate, and a close of less than half."""
    assert closing_reserve_s(0.0, 60.0) == 12.0 + 6.0
    assert (packing_s(None), packing_s(900.0), packing_s(60.0), packing_s(1.0)) == (12, 12, 6, 3)


@pytest.mark.parametrize("proof_s", [0.0, 5.0, 90.0, 700.0])
@pytest.mark.parametrize("total_s", [20.0, 30.0, 50.0, 60.0, 100.0, 600.0])
@pytest.mark.parametrize("start_s", [0.3, 0.6, 1.5])
def test_what_was_kept_suffices_for_the_race_that_is_run(
    total_s: float, proof_s: float, start_s: float
) -> None:
    left_s = closing_reserve_s(0.0, total_s, proof_s, start_s=start_s)
    race = race_s(left_s, 3, proof_s, total_s=total_s, start_s=start_s)
    spread = 1 - 0.4 * start_s / 1.5
    assert race / spread + packing_s(total_s, start_s=start_s) <= left_s + 1e-9
    assert 0.75 * race >= proof_s - 1e-9


def test_a_proof_makes_the_race_longer_where_the_budget_holds_it() -> None:
    assert race_s(1e9, 3, 300.0) == 400.0
    assert race_s(62.0, 3, 300.0) == pytest.approx(30.0)
    assert race_s(1e9, 3, 6.0) == 60.0


def test_the_race_is_never_shorter_than_it_can_be_nor_longer_than_it_needs() -> None:
    assert race_s(0.0, 3) == 10.0
    assert race_s(0.0, 3, total_s=60.0) == 6.0
    assert race_s(0.0, 3, total_s=1.0) == 5.0
    assert race_s(1e9, 3) == 60.0
    assert race_s(62.0, 3) == pytest.approx(30.0)

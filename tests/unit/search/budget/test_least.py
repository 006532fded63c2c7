from __future__ import annotations

import pytest

from whet.search.budget.least import least_after_setup_s, too_short_notes, used_up_notes


def test_a_budget_that_no_network_fits_into_is_told_at_once() -> None:
    (note,) = too_short_notes(1.0)
    assert note.where == "budget"
    assert note.reason.startswith("1 s are less than what is never left out")
    assert "about 19 s even for a small network" in note.reason


@pytest.mark.parametrize("budget_s", [None, 19.0, 900.0])
def test_others_say_nothing(budget_s: float | None) -> None:
    assert too_short_notes(budget_s) == ()


def test_the_rest_is_the_untouched_graph_its_proof_the_race_and_packing() -> None:
    # Two runtimes; 1000 rows of 10 ms, twice, each in a process; 5 s; 2 s.
    answers_s = 1.5 + 0.5 + 2 * 10.0
    assert least_after_setup_s(2, 1000, 10.0) == pytest.approx(4.0 + answers_s + 5.0 + 2.0)


def test_a_budget_that_set_up_used_up_says_when_the_search_will_end() -> None:
    (note,) = used_up_notes(58.0, 24.0, 50.0)
    assert "Set-up took 58 s of 50 s" in note.reason
    assert "ends at about 82 s" in note.reason
    assert used_up_notes(20.0, 24.0, 50.0) == ()
    assert used_up_notes(1e4, 24.0, None) == ()

from __future__ import annotations

from whet.search.budget.spending import EXCEEDED, over_notes, spans

MARKS = [("reading", 0.0), ("rung 1", 4.0), ("rung 2", 10.0), ("rung 1", 50.0), ("packing", 52.0)]


def test_what_came_back_is_added_up_and_the_longest_comes_first() -> None:
    assert spans(MARKS, 60.0) == {"rung 2": 40.0, "rung 1": 8.0, "packing": 8.0, "reading": 4.0}
    assert spans([], 60.0) == {}


def test_a_budget_that_was_broken_is_explained_by_what_took_the_time() -> None:
    (note,) = over_notes(MARKS, 60.0, 50.0)
    assert note.where == EXCEEDED
    assert "took 60 s, its budget was 50 s: rung 2 40 s, rung 1 8 s, packing 8 s" in note.reason


def test_within_ten_per_cent_nothing_is_said() -> None:
    assert over_notes(MARKS, 55.0, 50.0) == ()
    assert over_notes(MARKS, 55.0, None) == ()

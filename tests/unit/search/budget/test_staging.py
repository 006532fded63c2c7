from __future__ import annotations

from whet.search.budget.staging import affords_cascade, cascade_s, queries_that_fit


def test_a_cascade_asks_for_processes_and_passes_over_the_certify_rows() -> None:
    assert affords_cascade(float("inf"), 10**6, 100.0)
    assert not affords_cascade(0.0, 10, 1.0)
    assert affords_cascade(60.0, 1000, 5.0)
    assert not affords_cascade(60.0, 10_000, 20.0)
    assert affords_cascade(cascade_s(1000, 5.0), 1000, 5.0)


def test_means_are_timed_over_all_queries_or_those_that_fit() -> None:
    assert queries_that_fit(8000, 10.0, float("inf")) == 8000
    assert queries_that_fit(8000, 100.0, float("inf")) == 1200
    assert queries_that_fit(8000, 10.0, 60.0) == 3000
    assert queries_that_fit(8000, 1e6, 1.0) == 50
    assert queries_that_fit(20, 1e6, 1.0) == 20

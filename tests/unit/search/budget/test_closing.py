from __future__ import annotations

import msgspec
import pytest
from trial_factory import latency, trial

from whet.core.contract import Contract
from whet.search.budget.closing import answers_s, closing_s, expected_row_ms

START_S = 1.5
RESTLESS = 1.1
FASTEST = Contract()


def answering_s(*, untouched_ms: list[float], others_ms: list[float]) -> float:
    rows_ms = expected_row_ms(30.0, untouched_ms=untouched_ms, others_ms=others_ms)
    return answers_s(1000, 30.0, rows_ms)


def test_without_trials_engines_are_guessed_from_the_original() -> None:
    # 1000 rows: 30 ms of the original, 15 of the best untouched, a finalist at 10.
    found = answering_s(untouched_ms=[], others_ms=[])
    assert found == pytest.approx(RESTLESS * (30.0 + 15.0 + 10.0) + 3 * START_S)


def test_what_was_timed_takes_the_place_of_the_guess() -> None:
    found = answering_s(untouched_ms=[12.0, 8.0], others_ms=[2.0, 4.0])
    assert found == pytest.approx(RESTLESS * (30.0 + 8.0 + 2.0 + 4.0 + 2.0) + 5 * START_S)


def test_only_the_fastest_become_finalists() -> None:
    found = answering_s(untouched_ms=[8.0], others_ms=[9.0, 1.0, 2.0, 3.0, 4.0])
    assert found == pytest.approx(RESTLESS * (30.0 + 8.0 + 10.0) + 6 * START_S)


def test_those_that_are_due_count_though_others_are_faster() -> None:
    """The safest finalist is often a slow one; it stands before the fastest of the others."""
    rows_ms = expected_row_ms(
        30.0, untouched_ms=[8.0], others_ms=[1.0, 2.0, 3.0, 4.0], due_ms=[7.0, 6.0]
    )
    assert rows_ms == (8.0, 7.0, 6.0, 1.0, 2.0)


def test_what_answers_several_rows_slower_than_one_is_taken_at_that() -> None:
    known = (trial("untouched", 1.0, untouched=True, p99_ms=50.0), trial("int8", 9.0, p99_ms=5.0))
    calm, slow = (
        closing_s(FASTEST, 1000, 100.0, known, 600.0, due=known[1:], answered_ms=answered)
        for answered in (None, {known[1].id: 40.0})
    )
    assert slow - calm == pytest.approx(2 * RESTLESS * (40.0 - 4.5), abs=0.5)  # it and one more


def test_with_each_trial_there_is_time_for_one_finalist_more() -> None:
    """A climb that has time for one candidate isn't held back for four."""
    ms = [5.0, 6.0, 7.0, 8.0, 9.0]
    counts = [
        len(expected_row_ms(30.0, untouched_ms=[8.0], others_ms=ms[:n])) for n in range(len(ms))
    ]
    assert counts == [2, 3, 4, 5, 5]


def test_the_reserve_falls_as_fast_engines_are_found() -> None:
    slow = trial("untouched", 1.0, untouched=True, p99_ms=50.0)
    fast = trial("int8", 9.0, p99_ms=5.0)
    batch = msgspec.structs.replace(fast, latency=msgspec.structs.replace(latency(5.0), batch=5))
    needs = [closing_s(FASTEST, 1000, 100.0, known, 600.0) for known in ((), (slow,), (slow, fast))]
    assert needs == sorted(needs, reverse=True)
    assert (
        closing_s(FASTEST, 1000, 100.0, (slow, batch), 600.0) < needs[-1]
    )  # five rows in that time


def test_processes_that_start_fast_leave_more_for_the_climb() -> None:
    """30 s: before any trial half of it is kept; once one took 1.2 s, twelve seconds suffice."""
    quick = msgspec.structs.replace(trial("untouched", 1.0, untouched=True), seconds=1.2)
    slow = msgspec.structs.replace(quick, seconds=12.0)
    guess, seen, busy = (
        closing_s(FASTEST, 100, 0.0, known, 30.0) for known in ((), (quick,), (slow,))
    )
    assert guess > 15.0
    assert seen < 12.5
    assert busy >= guess - 0.5  # 100 rows of 4.5 ms


def test_a_tail_limit_keeps_time_for_its_proof() -> None:
    """662 queries of each of three contenders, of an engine that takes 50 ms."""
    known = (trial("untouched", 1.0, untouched=True, p99_ms=50.0 / 0.9),)
    tail, loose = (Contract(limit_ms=60.0, percentile=q) for q in (99.0, 50.0))
    free, needs = (closing_s(c, 100, 50.0, known, None) for c in (FASTEST, tail))
    queries_s = 662 * 0.050 * 3
    # Its trial took a second, so a process takes half of one, a third of what is usual.
    share = 1 - 0.4 / 3
    assert needs - free == pytest.approx(queries_s / 0.75 / share - 45.0)
    assert closing_s(loose, 100, 50.0, known, None) == free  # eleven queries are no burden


def test_what_is_too_slow_for_the_limit_needs_no_proof() -> None:
    known = (trial("untouched", 1.0, untouched=True, p99_ms=50.0), trial("int8", 2.0, p99_ms=30.0))
    impossible = Contract(limit_ms=10.0)
    assert closing_s(impossible, 100, 50.0, known, None) == closing_s(
        FASTEST, 100, 50.0, known, None
    )


def test_time_is_kept_for_comparing_large_answers() -> None:
    """21 classes of 512x512 pixels: comparing 60 rows of two engines takes half a minute."""
    known = (trial("untouched", 1.0, untouched=True, p99_ms=5.0),)
    scores, maps = (
        closing_s(FASTEST, 60, 50.0, known, 600.0, values=values) for values in (1000, 21 * 512**2)
    )
    assert scores == pytest.approx(closing_s(FASTEST, 60, 50.0, known, 600.0), abs=0.1)
    assert 20 < maps - scores < 60

from __future__ import annotations

import time

from trial_factory import trial

from whet.core.lesson import Lesson
from whet.search.budget.budget import Budget
from whet.search.events import (
    Event,
    Learning,
    Phase,
    Remark,
    RungStarted,
    TrialDone,
    TrialStarted,
)
from whet.search.teller import TITLES, Teller


def test_it_marks_what_began_when_although_a_rung_is_told_once() -> None:
    tell = Teller(lambda _: None, Budget(time.monotonic() - 5.0, 60.0))
    for rung in (1, 0, 1):
        tell.rung(rung)
    tell.phase("packing")
    assert [title for title, _ in tell.marks] == [TITLES[1], TITLES[0], TITLES[1], "packing"]
    assert all(5.0 <= at < 10.0 for _, at in tell.marks)


def test_every_rung_of_the_ladder_has_a_title() -> None:
    told: list[Event] = []
    tell = Teller(told.append, Budget(time.monotonic(), 60.0))
    for rung in range(7):
        tell.rung(rung)
    titles = [event.title for event in told if isinstance(event, RungStarted)]
    assert len(set(titles)) == len(titles) == 7


def test_it_tells_in_order_with_the_time_that_has_passed() -> None:
    events: list[Event] = []
    tell = Teller(events.append, Budget(time.monotonic() - 5.0, 60.0))
    tell.phase("export")
    tell.rung(1)
    tell.rung(1)
    tell.trying("a", 1)
    tell.learning(Lesson(3, 10, 0, 0.5))
    tell.tried(trial("a", 1.0), None)
    tell.remark("here", "look")
    kinds = [type(e) for e in events]
    assert kinds == [Phase, RungStarted, TrialStarted, Learning, TrialDone, Remark]
    assert all(5.0 <= e.elapsed_s < 10.0 and e.budget_s == 60.0 for e in events)
    assert [n.reason for n in tell.remarks] == ["look"]


def test_what_is_told_once_is_not_told_again() -> None:
    events: list[Event] = []
    tell = Teller(events.append, Budget(time.monotonic(), None))
    for reason in ("look", "look", "elsewhere"):
        tell.once("here", reason)
    assert [n.reason for n in tell.remarks] == ["look", "elsewhere"]
    assert len(events) == 2


def test_every_rung_has_a_title() -> None:
    assert sorted(TITLES) == list(range(len(TITLES)))

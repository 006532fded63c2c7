"""What the wish to stop means: before anything is measured, while climbing, while closing."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from trial_factory import trial

from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.search.budget.budget import Budget
from whet.search.events import Event, Remark, Stopped
from whet.search.ladder.trials import Trials
from whet.search.ledger.ledger import Ledger
from whet.search.stop import Stop
from whet.search.teller import Teller


def trials(ledger: Ledger, told: list[Event], *, asked: bool) -> Trials:
    stop = Stop()
    if asked:
        stop.asked.set()
    budget = Budget(time.monotonic(), 600.0).reserving(40.0)
    return Trials(None, ledger, budget, Teller(told.append, budget), stop)


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        yield book


def test_the_wish_is_heard_at_the_next_check() -> None:
    wish = threading.Event()
    stop = Stop(wish)
    stop.check()
    wish.set()
    with pytest.raises(Stopped):
        stop.check()
    Stop().check()


def test_nothing_new_is_begun(ledger: Ledger) -> None:
    with pytest.raises(Stopped):
        trials(ledger, [], asked=True).attempt(Recipe((), "onnxruntime", Settings()), 1, must=True)


def test_without_an_untouched_trial_there_is_nothing_to_close_with(ledger: Ledger) -> None:
    told: list[Event] = []
    some = trials(ledger, told, asked=True)
    some.all["a"] = trial("a", 2.0)
    with pytest.raises(Stopped), some.until_stopped():
        some.stop.check()
    assert told == []


def test_with_one_the_climb_ends_and_says_so_once(ledger: Ledger) -> None:
    told: list[Event] = []
    some = trials(ledger, told, asked=True)
    some.all["a"] = trial("a", 1.0, untouched=True)
    reached = []
    for _ in range(2):
        with some.until_stopped():
            some.stop.check()
            reached.append(1)
    assert reached == []
    (remark,) = told
    assert isinstance(remark, Remark)
    assert "stopped early" in remark.note.reason
    assert some.tell.remarks == [remark.note]


def test_closing_listens_no_more_and_has_the_time_that_was_kept_for_it(ledger: Ledger) -> None:
    stopped = trials(ledger, [], asked=True)
    closing = stopped.closing()
    closing.stop.check()
    assert closing.all is stopped.all
    assert 35.0 < closing.budget.left_s(time.monotonic()) <= 40.0
    assert closing.budget.climbing_s(time.monotonic()) == 0.0
    untroubled = trials(ledger, [], asked=False)
    assert untroubled.closing().budget is untroubled.budget

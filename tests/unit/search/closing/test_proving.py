"""The best untouched engine is proven on the certify samples, one after another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from trial_factory import SAME, quality, trial

from whet.core.evidence import Quality, Trial, Verdict
from whet.errors import EngineError
from whet.search.budget.budget import Budget
from whet.search.closing import proving
from whet.search.closing.proving import answering, fastest_answering
from whet.search.decisions.figures import answers_right

WRONG = msgspec.structs.replace(quality(0.7), difference=0.8)
NEAR = msgspec.structs.replace(quality(0.001), difference=0.01)


class Told:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def once(self, where: str, reason: str) -> None:
        self.said.append(f"{where}: {reason}")


class Search:
    """Untouched trials by name, and what their certify answers will say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **found: Quality | EngineError) -> None:
        self.found, self.asked, self.tell = found, list[str](), Told()
        self.budget = Budget(0.0, None)
        made = [
            msgspec.structs.replace(trial(name, 9.0 - i, untouched=True), certify=None)
            for i, name in enumerate(found)
        ]
        self.all = {t.id: t for t in made}
        self.by_name = {t.name: t for t in made}
        monkeypatch.setattr(proving, "judge_on", self.judge_on)

    def untouched(self) -> list[Trial]:
        return list(self.all.values())

    def made_for(self, of: Trial) -> None:
        return None

    def update(self, of: Trial, *, remember: bool) -> None:
        assert not remember, "the certify part is this run's own"
        self.all[of.id] = of

    def judge_on(self, setup: Any, of: Trial, make: Any, part: Any, *, left_s: float) -> Quality:
        self.asked.append(of.name)
        says = self.found[of.name]
        if isinstance(says, EngineError):
            raise says
        return says


SETUP: Any = SimpleNamespace(certify=None)
FAILED = trial("lost", 5.0, certify=quality(0.05))


def test_the_best_that_answers_right_needs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    search: Any = Search(monkeypatch, fast=SAME, slow=SAME)
    best = answering(SETUP, search, search.by_name["fast"], [])
    assert (best.name, best.certify) == ("fast", SAME)
    assert search.asked == ["fast"]


def test_one_that_errs_makes_way_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    search: Any = Search(monkeypatch, fast=WRONG, slow=SAME)
    best = answering(SETUP, search, search.by_name["fast"], [])
    assert best.name == "slow"
    passed_over = search.all[search.by_name["fast"].id]
    assert passed_over.certify == WRONG
    assert not answers_right(passed_over)
    assert "doesn't compute what the original computes" in search.tell.said[0]


def test_one_that_is_merely_near_is_not_tested_out_of_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search: Any = Search(monkeypatch, fast=NEAR, slow=SAME)
    assert answering(SETUP, search, search.by_name["fast"], []).name == "slow"
    kept = search.all[search.by_name["fast"].id].certify
    assert kept is not None
    assert kept.verdict is Verdict.UNDECIDED


def test_where_none_is_the_original_the_metric_decides_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    search: Any = Search(monkeypatch, fast=NEAR, slow=WRONG)
    best = answering(SETUP, search, search.by_name["fast"], [])
    assert (best.name, best.certify) == ("fast", NEAR)
    broken: Any = Search(monkeypatch, fast=NEAR, slow=WRONG)
    best = answering(SETUP, broken, broken.by_name["fast"], [FAILED])
    assert best.certify is not None
    assert best.certify.verdict is Verdict.UNDECIDED, "the sequence had ended"


def test_one_that_crashes_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    search: Any = Search(monkeypatch, fast=EngineError("It crashed.", "Try."), slow=SAME)
    assert answering(SETUP, search, search.by_name["fast"], []).name == "slow"
    left = search.all[search.by_name["fast"].id]
    assert left.certify is None
    assert "Could not be certified: It crashed." in left.notes[-1].reason


def test_a_rival_that_wins_the_last_race_is_proven_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for says, winner in ((SAME, "rival"), (WRONG, "best")):
        search: Any = Search(monkeypatch, best=SAME, rival=says)
        best = answering(SETUP, search, search.by_name["best"], [])
        rival = search.by_name["rival"]
        monkeypatch.setattr(
            proving,
            "fastest_of",
            lambda _, left: next((t for t in left if t.name == "rival"), left[0]),
        )
        assert fastest_answering(SETUP, search, search, [best, rival]).name == winner

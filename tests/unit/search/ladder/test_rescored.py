"""Rung 3 where damages don't add up: plans scored together, as far as the time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from trial_factory import trial

from whet.core.artifact import Artifact, Format
from whet.core.recipe import Step
from whet.core.spec import Signature
from whet.optimize.network.menus.menu import Choice, Choices, Combined, MenuPlan, Rescored, Scored
from whet.search.budget.budget import Budget
from whet.search.events import Event, Phase, Remark
from whet.search.ladder import rescoring
from whet.search.ladder.rescoring import rescored_within
from whet.search.ledger.ledger import Ledger
from whet.search.teller import Teller

PLAN = MenuPlan(stay=(0.5,), low_rank=(), separable=(), tile=8, classes=True, rows=1, judged=32)
MS = {"a": 4.0, "a8": 2.0, "b": 5.0, "b8": 3.0}
SCORED = (Scored((1, 0), 0.1), Scored((0, 1), 0.3), Scored((1, 1), 2.0))


def choice(graph: str, damage: float, *steps: Step) -> Choice:
    return Choice(graph[0], steps, damage, 1, Artifact(graph, Format.ONNX, Signature((), ())))


CHOICES = Choices(
    (
        (choice("a", 0.0), choice("a8", 0.1, Step("narrow", {"units": {"a": 8}}))),
        (choice("b", 0.0), choice("b8", 0.3, Step("narrow", {"units": {"b": 8}}))),
    ),
    (-1, 0),
    (Combined(1, 2), Combined(2, 1), Combined(3, 3)),
    (),
)


@dataclass
class Fake:
    """All that scoring asks of a search so far."""

    ledger: Ledger
    total_s: float = 3000.0
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = Budget(time.monotonic(), self.total_s)
        self.tell = Teller(self.told.append, self.budget)

    @property
    def remarks(self) -> str:
        return " ".join(e.note.reason for e in self.told if isinstance(e, Remark))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        yield book


@dataclass
class Worker:
    """Made up: answers at once."""

    answer: Rescored | None
    jobs: list[Any] = field(default_factory=list)

    def __call__(
        self, _s: object, _t: object, target: str, job: Any, *_: object, **__: object
    ) -> Any:
        assert target == "whet.search.workers.rescore_jobs:rescored_network"
        self.jobs.append(job)
        return self.answer


def asked(fake: Fake, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(rescoring, "side_job", worker)
    monkeypatch.setattr(
        rescoring,
        "rescore_job",
        lambda _, ms, seconds, looks: SimpleNamespace(plan=PLAN, ms=ms, s=seconds, looks=looks),
    )
    return rescored_within(None, fake, trial("base", 1.0), CHOICES, MS, 60.0)  # type: ignore[arg-type]


def test_what_was_found_is_told_and_remembered(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(Rescored(SCORED, looks=1, whole=True))
    fake = Fake(ledger)
    assert asked(fake, worker, monkeypatch) == SCORED
    assert worker.jobs[0].ms == ((4.0, 2.0), (5.0, 3.0))
    assert worker.jobs[0].s == 60.0
    assert any(isinstance(e, Phase) for e in fake.told)
    assert "don't add up here" in fake.remarks
    assert "correlation of 0.50" in fake.remarks
    assert "scored together instead (looks at such plans: 1)." in fake.remarks
    again = Fake(ledger, total_s=1.0)  # needs no time any more
    assert asked(again, worker, monkeypatch) == SCORED
    assert len(worker.jobs) == 1


def test_what_was_cut_off_counts_and_goes_on_the_next_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(Rescored(SCORED[:2], looks=1, whole=False))
    fake = Fake(ledger)
    assert asked(fake, worker, monkeypatch) == SCORED[:2]
    assert "as far as the time for it went" in fake.remarks
    asked(Fake(ledger), worker, monkeypatch)
    assert len(worker.jobs) == 2


@pytest.mark.parametrize(
    ("answer", "total_s", "why"),
    [
        (None, 3000.0, "could not be scored together"),
        (Rescored(SCORED[:2], looks=0, whole=False), 3000.0, "the time left didn't allow"),
        (Rescored(SCORED, looks=1, whole=True), 30.0, "the time left didn't allow"),
    ],
    ids=["failed", "no look", "no time"],
)
def test_sums_are_all_there_is_where_nothing_was_scored(
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    answer: Rescored | None,
    total_s: float,
    why: str,
) -> None:
    fake = Fake(ledger, total_s)
    assert asked(fake, Worker(answer), monkeypatch) is None
    assert why in fake.remarks
    assert "ranked by sums all the same" in fake.remarks

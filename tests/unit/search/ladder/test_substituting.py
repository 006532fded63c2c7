"""Rung 5: sizes by the clock first, then students as candidates; the workers are made up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Quality, Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.optimize.network.students.zoo import Sized, Student
from whet.search.budget.budget import Budget
from whet.search.events import Event
from whet.search.ladder import learning, sizing
from whet.search.ladder import substitute as rung
from whet.search.ladder.substitute import substitute
from whet.search.ledger.ledger import Ledger
from whet.search.teller import Teller
from whet.search.workers.student_jobs import Fitting, Shares
from whet.search.workers.surgery_jobs import Pace

NARROW = (Step("narrow", {"share": 0.5}), Step("repair"), Step("to-graph"))
INT8 = Step("quantize-ort")
# Those of "a" take 0.9, 0.6 and 0.3 of the base's time; "b" is slow, "c" small.
ZOO = (
    *(Sized(Student("a", w), int(1e8 * w), 1) for w in (0.9, 0.6, 0.3)),
    Sized(Student("b"), 10**8, 1),
    Sized(Student("c"), 10**6, 1),
)
TAKES = {"b": 2.0, "c": 0.5}


@dataclass
class Fake:
    """All that rung 5 asks of a search so far."""

    ledger: Ledger
    lost: float
    total_s: float = 3000.0
    base: tuple[Step, ...] = (INT8,)
    told: list[Event] = field(default_factory=list)
    tried: list[Recipe] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = Budget(time.monotonic(), self.total_s)
        self.tell = Teller(self.told.append, self.budget)
        recipe = Recipe(self.base, "onnxruntime", Settings())
        known = msgspec.structs.replace(trial("base", 2.0, select=quality(0.0)), recipe=recipe)
        self.all = {known.id: known}

    def climbing_s(self) -> float:
        return self.budget.climbing_s(time.monotonic())

    def time_share_s(self, share: float) -> float:
        return time.monotonic() + share * self.climbing_s()

    def attempt(self, recipe: Recipe, rung: int) -> Trial:
        assert rung == 5
        self.tried.append(recipe)
        made = trial(f"student {len(self.tried)}", 3.0, select=quality(self.lost))
        return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest())

    def judge(self, tried: Trial) -> Trial:
        assert isinstance(tried.select, Quality)
        return tried


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        yield book


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The workers' jobs, answered at once."""
    jobs: list[tuple[str, Any]] = []

    def answer(
        _setup: object, _trials: object, target: str, job: Any, *_: object, **__: object
    ) -> Any:
        jobs.append((target.rpartition(":")[2], job))
        match jobs[-1][0]:
            case "fitting_students":
                return Fitting(ZOO)
            case "student_shares":
                return Shares(tuple(TAKES.get(s.family, s.width) for s in job.students))
        return Pace(0.5)

    monkeypatch.setattr(sizing, "side_job", answer)
    monkeypatch.setattr(learning, "side_job", answer)
    # What crosses to workers is plain data, which these made-up setups don't have.
    for name in ("FittingJob", "SharesJob"):
        monkeypatch.setattr(sizing, name, SimpleNamespace)
    monkeypatch.setattr(learning, "PaceJob", SimpleNamespace)
    return jobs


def setup(**changes: object) -> Any:
    usual = {
        "contract": Contract(max_drop=Drop(0.01)),
        "certify": SimpleNamespace(samples=1000),
        "program": object(),
        "train": range(5000),
        "learnt_from": SimpleNamespace(labels=None),
        "metric": "top1",
        "graph": SimpleNamespace(digest=lambda: "g"),
        "macs": 10**8,
        "ground": None,
        "workdir": Path("w"),
        "cache": Path("c"),
    }
    return SimpleNamespace(**(usual | changes))


def families(fake: Fake) -> list[tuple[str, float]]:
    return [
        (r.steps[0].options["family"], r.steps[0].options.get("width", 1.0)) for r in fake.tried
    ]


def test_of_each_family_the_largest_that_is_fast_enough_is_taught(
    ledger: Ledger, asked: list[tuple[str, Any]]
) -> None:
    fake = Fake(ledger, lost=0.2)
    substitute(setup(), fake)  # type: ignore[arg-type]
    assert families(fake) == [("a", 0.6), ("c", 1.0)]
    for recipe in fake.tried:
        assert [s.name for s in recipe.steps] == [
            "substitute", "distill", "to-graph", "quantize-ort",
        ]  # fmt: skip
        options = recipe.steps[1].options
        assert options["norms"]
        assert 384 <= options["steps"] <= 3000 / 0.5
    first, second = (r.steps[1].options["steps"] for r in fake.tried)
    assert first <= second * 2, "time is shared"


def test_a_good_student_ends_it(ledger: Ledger, asked: list[tuple[str, Any]]) -> None:
    fake = Fake(ledger, lost=0.0)
    substitute(setup(), fake)  # type: ignore[arg-type]
    assert families(fake) == [("a", 0.6)]


def test_students_get_the_graph_passes_of_a_changed_network_alone(
    ledger: Ledger, asked: list[tuple[str, Any]]
) -> None:
    fake = Fake(ledger, lost=0.0, base=(*NARROW, INT8))
    substitute(setup(), fake)  # type: ignore[arg-type]
    (recipe,) = fake.tried
    assert [s.name for s in recipe.steps] == ["substitute", "distill", "to-graph", "quantize-ort"]
    shares = next(job for name, job in asked if name == "student_shares")
    assert shares.base == (*NARROW, INT8)
    assert shares.tail == (INT8,)


def test_a_limit_that_is_tighter_than_being_faster_decides(
    ledger: Ledger, asked: list[tuple[str, Any]]
) -> None:
    """The base takes 4.5 ms: within 0.9 of 2 ms lies what takes at most 0.4 of that."""
    fake = Fake(ledger, lost=0.0)
    tight = Contract(limit_ms=2.0, percentile=99.0, max_drop=Drop(0.01))
    substitute(setup(contract=tight), fake)  # type: ignore[arg-type]
    assert families(fake) == [("a", 0.3)]


def test_a_search_that_goes_on_times_nothing_again(
    ledger: Ledger, asked: list[tuple[str, Any]]
) -> None:
    one, two = Fake(ledger, lost=0.2), Fake(ledger, lost=0.2)
    substitute(setup(), one)  # type: ignore[arg-type]
    assert {name for name, _ in asked} == {"fitting_students", "student_shares", "learning_pace"}
    asked.clear()
    substitute(setup(), two)  # type: ignore[arg-type]
    assert asked == []
    assert two.tried == one.tried


@pytest.mark.parametrize(
    ("changes", "total_s", "says"),
    [
        ({"train": None}, 3000.0, None),
        ({"train": range(100)}, 3000.0, None),
        ({"program": None}, 3000.0, None),
        ({"contract": Contract(limit_ms=50.0, max_drop=Drop(0.01))}, 3000.0, None),
        ({}, 100.0, "didn't allow another network"),
    ],
    ids=["no samples to learn from", "few", "a graph", "enough", "no time"],
)
def test_it_is_not_climbed_for_nothing(
    ledger: Ledger,
    asked: list[tuple[str, Any]],
    changes: dict[str, object],
    total_s: float,
    says: str | None,
) -> None:
    fake = Fake(ledger, lost=0.0, total_s=total_s)
    substitute(setup(**changes), fake)  # type: ignore[arg-type]
    assert fake.tried == []
    assert asked == []
    assert [says in n.reason for n in fake.tell.remarks if says] == ([True] if says else [])


def test_nothing_fast_enough_is_said(
    ledger: Ledger, asked: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TAKES, "a", 3.0)
    monkeypatch.setitem(TAKES, "c", 3.0)
    fake = Fake(ledger, lost=0.0)
    substitute(setup(), fake)  # type: ignore[arg-type]
    assert fake.tried == []
    assert any("1.3 times as fast as base" in note.reason for note in fake.tell.remarks)


def test_labels_are_learnt_where_they_can_be(
    ledger: Ledger, asked: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rung, "labels_option", lambda *_: {"labels": "scores"})
    fake = Fake(ledger, lost=0.2)
    substitute(setup(), fake)  # type: ignore[arg-type]
    assert [r.steps[1].options["labels"] for r in fake.tried] == ["scores"] * len(fake.tried)
    assert fake.tried

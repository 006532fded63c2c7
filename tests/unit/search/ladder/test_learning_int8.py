"""Rung 4's end: int8 that loses too much, learnt instead; the workers are made up."""

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
from whet.search.budget.budget import Budget
from whet.search.decisions.footing import arithmetic_of
from whet.search.events import Event
from whet.search.ladder import learn_int8 as rung
from whet.search.ladder import learning
from whet.search.ladder.learn_int8 import learn_int8
from whet.search.ladder.surgery import start_of
from whet.search.ledger.ledger import Ledger
from whet.search.teller import Teller
from whet.search.workers.surgery_jobs import Pace

NARROW = (Step("narrow", {"share": 0.5}), Step("repair"))
EXPORT, INT8 = Step("to-graph"), Step("quantize-nncf-ir")
SETTINGS = Settings(threads=2)


def tried(steps: tuple[Step, ...], speed: float, select: Quality | None) -> Trial:
    recipe = Recipe(steps, "openvino", SETTINGS)
    made = trial(" ".join(s.name for s in steps), speed, select=select)
    return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest(), seconds=20.0)


FLOAT = tried((Step("fuse"),), 1.1, quality(0.0))
LOSSY = tried((Step("convert-ir"), INT8), 3.0, quality(0.2))
NARROWER = tried((*NARROW, EXPORT, INT8), 4.0, quality(0.2))


@dataclass
class Fake:
    """All that is asked of a search so far."""

    ledger: Ledger
    known: tuple[Trial, ...]
    lost: float = 0.2
    total_s: float = 3000.0
    told: list[Event] = field(default_factory=list)
    tried: list[Recipe] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = Budget(time.monotonic(), self.total_s)
        self.tell = Teller(self.told.append, self.budget)
        self.all = {t.id: t for t in self.known}

    def climbing_s(self) -> float:
        return self.budget.climbing_s(time.monotonic())

    def time_share_s(self, share: float) -> float:
        return time.monotonic() + share * self.climbing_s()

    def attempt(self, recipe: Recipe, rung: int) -> Trial:
        assert rung == 4
        self.tried.append(recipe)
        made = trial(f"learnt {len(self.tried)}", 3.0, select=quality(self.lost))
        return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest())

    def judge(self, tried: Trial) -> Trial:
        return tried


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        yield book


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The jobs of the worker, answered at once."""
    jobs: list[Any] = []

    def answer(
        _setup: object, _trials: object, _target: str, job: Any, *_: object, **__: object
    ) -> Pace:
        jobs.append(job)
        return Pace(0.5)

    monkeypatch.setattr(learning, "side_job", answer)
    monkeypatch.setattr(learning, "PaceJob", SimpleNamespace)
    return jobs


def setup(**changes: object) -> Any:
    usual = {
        "contract": Contract(max_drop=Drop(0.01)),
        "certify": SimpleNamespace(samples=1000),
        "program": object(),
        "learnt_from": Rows(500),
        "metric": "top1",
        "graph": SimpleNamespace(digest=lambda: "g"),
        "macs": 10**8,
        "machine": SimpleNamespace(flags=("avx512_vnni",)),
        "ground": None,
        "workdir": Path("w"),
    }
    return SimpleNamespace(**(usual | changes))


class Rows:
    labels = None

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


def test_what_loses_too_much_learns_the_fastest_first(ledger: Ledger, asked: list[Any]) -> None:
    fake = Fake(ledger, (FLOAT, LOSSY, NARROWER))
    learn_int8(setup(), fake)  # type: ignore[arg-type]
    first, second = fake.tried
    assert [s.name for s in first.steps] == ["narrow", "repair", "learn-int8", "to-graph"]
    assert [s.name for s in second.steps] == ["learn-int8", "to-graph"]
    for recipe in fake.tried:
        assert (recipe.runtime, recipe.settings) == ("openvino", SETTINGS)
        assert arithmetic_of(recipe) == "int8"
        assert 48 <= recipe.steps[-2].options["steps"] <= 3000 / 0.5
    assert [[s.name for s in job.steps] for job in asked] == [["narrow"], []]
    assert all(job.rounded for job in asked)


def test_what_is_good_ends_it(ledger: Ledger) -> None:
    fake = Fake(ledger, (FLOAT, LOSSY, NARROWER), lost=0.0)
    learn_int8(setup(), fake)  # type: ignore[arg-type]
    assert len(fake.tried) == 1


def test_a_search_that_goes_on_asks_for_the_same(ledger: Ledger, asked: list[Any]) -> None:
    one, two = (Fake(ledger, (FLOAT, LOSSY)) for _ in range(2))
    learn_int8(setup(), one)  # type: ignore[arg-type]
    asked.clear()
    learn_int8(setup(), two)  # type: ignore[arg-type]
    assert asked == []
    assert [r.digest() for r in one.tried] == [r.digest() for r in two.tried]


def test_weights_have_as_many_bits_as_the_cpu_adds(ledger: Ledger) -> None:
    fake = Fake(ledger, (FLOAT, LOSSY))
    learn_int8(setup(machine=SimpleNamespace(flags=("avx2",))), fake)  # type: ignore[arg-type]
    assert fake.tried[0].steps[0].options["reduce_range"]
    able = Fake(ledger, (FLOAT, LOSSY))
    learn_int8(setup(), able)  # type: ignore[arg-type]
    assert "reduce_range" not in able.tried[0].steps[0].options


def test_labels_are_learnt_where_they_can_be(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rung, "labels_option", lambda *_: {"labels": "scores"})
    fake = Fake(ledger, (FLOAT, LOSSY))
    learn_int8(setup(), fake)  # type: ignore[arg-type]
    assert fake.tried[0].steps[0].options["labels"] == "scores"


GOOD = tried((Step("convert-ir"), INT8), 3.0, quality(0.0))
SLOW = tried((Step("convert-ir"), INT8), 1.05, quality(0.2))
UNJUDGED = tried((Step("convert-ir"), INT8), 3.0, None)


@pytest.mark.parametrize(
    ("known", "changes", "total_s", "says"),
    [
        ((FLOAT, GOOD), {}, 3000.0, None),
        ((FLOAT, SLOW), {}, 3000.0, None),
        ((FLOAT, UNJUDGED), {}, 3000.0, None),
        ((LOSSY,), {}, 3000.0, None),
        ((FLOAT, LOSSY), {"program": None}, 3000.0, None),
        ((FLOAT, LOSSY), {"learnt_from": Rows(20)}, 3000.0, None),
        ((FLOAT, LOSSY), {"contract": Contract(limit_ms=50.0, max_drop=Drop(0.01))}, 3000.0, None),
        ((FLOAT, NARROWER), {}, 52.0, "learn anything"),
    ],
    ids=["good", "slower", "not judged", "no base", "a graph", "few", "enough", "no time"],
)
def test_it_is_not_tried_for_nothing(
    ledger: Ledger,
    known: tuple[Trial, ...],
    changes: dict[str, object],
    total_s: float,
    says: str | None,
) -> None:
    fake = Fake(ledger, known, total_s=total_s)
    learn_int8(setup(**changes), fake)  # type: ignore[arg-type]
    assert fake.tried == []
    assert [says in n.reason for n in fake.tell.remarks if says] == ([True] if says else [])


def test_nothing_is_made_after_a_candidate_whose_int8_was_learnt(ledger: Ledger) -> None:
    learnt = tried((Step("learn-int8"), EXPORT), 5.0, quality(0.0))
    fake = Fake(ledger, (FLOAT, learnt))
    assert start_of(setup(), fake) is FLOAT  # type: ignore[arg-type]

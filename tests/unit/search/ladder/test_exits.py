"""Rung 6: where the network is tried to end, and how; the worker is made up."""

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
from whet.core.evidence import Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.core.spec import Signature, TensorSpec
from whet.optimize.network.exits.point import Point, Points
from whet.search.budget.budget import Budget
from whet.search.events import Event
from whet.search.ladder import exits
from whet.search.ladder.exits import end_early
from whet.search.ledger.ledger import Ledger
from whet.search.teller import Teller

INT8 = Step("quantize-ort")
POINTS = Points(tuple(Point(n, k / 9, tuple("abcdefgh"[:k])) for k, n in enumerate("abcdefgh", 1)))


@dataclass
class Fake:
    """All that rung 6 asks of a search so far."""

    ledger: Ledger
    total_s: float = 600.0
    base: tuple[Step, ...] = (INT8,)
    told: list[Event] = field(default_factory=list)
    tried: list[Recipe] = field(default_factory=list)
    judged: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = Budget(time.monotonic(), self.total_s)
        self.tell = Teller(self.told.append, self.budget)
        recipe = Recipe(self.base, "onnxruntime", Settings(threads=2))
        known = msgspec.structs.replace(trial("base", 2.0, select=quality(0.0)), recipe=recipe)
        self.all = {known.id: known}

    def climbing_s(self) -> float:
        return self.budget.climbing_s(time.monotonic())

    def expected_s(self, recipe: Recipe) -> float:
        return 5.0

    def untouched(self) -> list[Trial]:
        return [trial("untouched", 1.0, untouched=True)]

    def attempt(self, recipe: Recipe, rung: int, *, judge: bool, until_s: float) -> Trial | None:
        assert rung == 6
        assert not judge
        if time.monotonic() + self.expected_s(recipe) * (len(self.tried) + 1) > until_s:
            return None
        self.tried.append(recipe)
        return msgspec.structs.replace(trial("short", 9.0), recipe=recipe, id=recipe.digest())

    def judge(self, tried: Trial) -> Trial:
        self.judged.append(tried.recipe.steps[0].options["block"])
        return tried


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        yield book


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The worker's jobs, answered at once."""
    jobs: list[str] = []

    def answer(_setup: object, _trials: object, target: str, *_: object, **__: object) -> Points:
        jobs.append(target.rpartition(":")[2])
        return POINTS

    monkeypatch.setattr(exits, "side_job", answer)
    # What crosses to workers is plain data, which these made-up setups don't have.
    monkeypatch.setattr(exits, "ExitsJob", SimpleNamespace)
    return jobs


class _Part:
    samples = 1000

    def __len__(self) -> int:
        return self.samples


def setup(batch: int | str = "batch", **changes: object) -> Any:
    ends = (TensorSpec("x", "float32", (batch, 3)),), (TensorSpec("y", "float32", (batch, 4)),)
    usual = {
        "contract": Contract(max_drop=Drop(0.01)),
        "certify": _Part(),
        "select": SimpleNamespace(rows_per_sample=1),
        "program": object(),
        "learnt_from": SimpleNamespace(labels=None),
        "metric": "top1",
        "graph": SimpleNamespace(digest=lambda: "g", signature=Signature(*ends)),
        "original_ms": 2.0,
        "ground": None,
        "workdir": Path("w"),
    }
    return SimpleNamespace(**(usual | changes))


def test_few_blocks_are_tried_with_the_bases_passes_and_all_are_judged(
    ledger: Ledger, asked: list[str]
) -> None:
    fake = Fake(ledger)
    assert end_early(setup(), fake, {}, share=0.5)  # type: ignore[arg-type]
    assert fake.judged == ["d", "b", "g"]
    for recipe in fake.tried:
        assert [step.name for step in recipe.steps] == ["exit-after", "to-graph", "quantize-ort"]
        assert recipe.settings == Settings(threads=2)
        rows = recipe.steps[0].options["rows"]
        assert rows == 8192, "as many as the time allows, at most so many"
    assert asked == ["network_exits"]


def test_what_a_search_that_goes_on_finds_is_what_it_found(
    ledger: Ledger, asked: list[str]
) -> None:
    one, two = Fake(ledger), Fake(ledger, total_s=500.0)
    end_early(setup(), one, {}, share=0.5)  # type: ignore[arg-type]
    end_early(setup(original_ms=9.0), two, {}, share=0.5)  # type: ignore[arg-type]
    assert two.tried == one.tried
    assert asked == ["network_exits"]


def test_times_of_blocks_choose_where_menus_told_them(ledger: Ledger, asked: list[str]) -> None:
    fake = Fake(ledger)
    ms = dict.fromkeys("abcdefgh", 1.0) | {"a": 9.0}
    end_early(setup(), fake, ms, share=0.5)  # type: ignore[arg-type]
    assert fake.judged == ["a", "b", "d"]


def test_in_a_small_share_of_the_time_nothing_is_asked_and_it_may_be_asked_again(
    ledger: Ledger, asked: list[str]
) -> None:
    fake = Fake(ledger, total_s=60.0)
    assert not end_early(setup(), fake, {}, share=0.1)  # type: ignore[arg-type]
    assert not fake.tell.remarks
    assert not end_early(setup(), fake, {}, share=0.1, last=True)  # type: ignore[arg-type]
    (note,) = fake.tell.remarks
    assert "didn't allow" in note.reason
    assert asked == []
    assert fake.tried == []


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "mse"},
        {"select": SimpleNamespace(rows_per_sample=2)},
        {"program": None},
        {"batch": 1},
        {"contract": Contract(max_drop=Drop(0.01), max_bytes=10**9)},
        {"contract": Contract(limit_ms=50.0, max_drop=Drop(0.01))},
    ],
    ids=["no classes", "several rows", "a graph", "fixed rows", "size is limited", "enough"],
)
def test_where_no_cascade_can_come_of_it_nothing_is_tried(
    ledger: Ledger, asked: list[str], changes: dict[str, Any]
) -> None:
    fake = Fake(ledger)
    assert end_early(setup(**changes), fake, {})  # type: ignore[arg-type]
    assert fake.tried == []
    assert asked == []


def test_what_takes_one_scale_for_a_batch_lends_no_passes(ledger: Ledger, asked: list[str]) -> None:
    fake = Fake(ledger, base=(Step("quantize-dynamic"),))
    assert not end_early(setup(), fake, {})  # type: ignore[arg-type]
    assert fake.tried == []

"""Changes of the whole network, timed within some seconds: those that were timed by then count."""

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
from whet.optimize.network.menus.menu import Whole, Wholes
from whet.search.budget.budget import Budget
from whet.search.events import Event, Remark
from whet.search.ladder import wholes
from whet.search.ladder.wholes import wholes_within
from whet.search.ledger.ledger import Ledger
from whet.search.solver.wholes import WholeEntry
from whet.search.teller import Teller
from whet.search.workers.surgery_jobs import Costs

SLIM, SMALL = Step("slim", {"channels": {"stem": 8}}), Step("resize", {"size": 24})


def graph(name: str) -> Artifact:
    return Artifact(name, Format.ONNX, Signature((), ()))


FOUND = Wholes(
    graph("as it is"),
    (Whole(SLIM, 0.2, 0.5, graph("slim")), Whole(SMALL, 0.1, 1.0, graph("small"))),
    (),
)


@dataclass
class Search:
    """All that is asked of one so far; its workers answer at once."""

    ledger: Ledger
    ms: tuple[float, ...]
    told: list[Event] = field(default_factory=list)
    jobs: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = Budget(time.monotonic(), 3000.0)
        self.tell = Teller(self.told.append, self.budget)

    def side_job(self, _s: object, _t: object, target: str, job: Any, *_: object, **__: Any) -> Any:
        self.jobs.append(job)
        return FOUND if target.endswith("network_wholes") else Costs(self.ms)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        yield book


def entries(search: Search, monkeypatch: pytest.MonkeyPatch) -> tuple[WholeEntry, ...]:
    monkeypatch.setattr(wholes, "side_job", search.side_job)
    monkeypatch.setattr(wholes, "wholes_job", lambda _, s: SimpleNamespace(seconds=s))
    monkeypatch.setattr(
        wholes, "costs_job", lambda _, __, graphs, s: SimpleNamespace(graphs=graphs, seconds=s)
    )
    return wholes_within(None, search, trial("base", 1.0), 100.0)  # type: ignore[arg-type]


def test_all_are_timed_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    search = Search(ledger, (10.0, 5.0, 8.0))
    found = entries(search, monkeypatch)
    assert found == (WholeEntry(SLIM, 0.5, 0.2, 0.5), WholeEntry(SMALL, 0.8, 0.1, 1.0))
    assert [job.seconds for job in search.jobs] == pytest.approx([60.0, 40.0])
    again = Search(ledger, ())
    assert entries(again, monkeypatch) == found
    assert len(again.jobs) == 1, "what they take is remembered"
    assert not [e for e in search.told if isinstance(e, Remark)]


@pytest.mark.parametrize(("ms", "timed"), [((10.0, 5.0), 1), ((10.0,), 0)])
def test_what_was_timed_by_the_end_of_the_time_counts(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, ms: tuple[float, ...], timed: int
) -> None:
    search = Search(ledger, ms)
    assert entries(search, monkeypatch) == (WholeEntry(SLIM, 0.5, 0.2, 0.5),)[:timed]
    (remark,) = (e.note.reason for e in search.told if isinstance(e, Remark))
    assert f"allowed timing {timed} of 2 changes" in remark
    assert len(entries(Search(ledger, (10.0, 5.0, 8.0)), monkeypatch)) == 2, "the next has them all"

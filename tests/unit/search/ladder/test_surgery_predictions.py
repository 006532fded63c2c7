"""Plans that blocks let expect to be slow aren't tried; a race that says little changes no minds."""

from __future__ import annotations

from types import SimpleNamespace

import evidence_factory as make

from whet.core.evidence import Trial
from whet.search.ladder.surgery import Predictions
from whet.search.solver.proposals import Proposal

BASE = make.trial(1, "int8", 10.0)


def plan(ms: float) -> Proposal:
    return Proposal((), ms, damage=0.1, changed=1)


def predictions() -> Predictions:
    kept: dict[str, Trial] = {}
    trials = SimpleNamespace(update=lambda trial: kept.setdefault(trial.id, trial))
    return Predictions(trials, BASE)  # type: ignore[arg-type]


def test_a_plan_that_was_slower_than_its_blocks_corrects_those_after_it() -> None:
    found = predictions()
    assert found.promise(plan(8.0), BASE)
    found.told(plan(6.0), make.trial(2, "plan", 11.0))
    assert not found.promise(plan(8.0), BASE)


def test_one_unlucky_race_corrects_nothing() -> None:
    found = predictions()
    told = found.told(plan(6.0), make.trial(2, "plan", 11.0, noisy=True))
    assert any("6 ms; it took 11" in note.reason for note in told.notes)
    assert found.promise(plan(8.0), BASE)

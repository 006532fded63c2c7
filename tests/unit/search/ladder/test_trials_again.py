"""A candidate that failed for a reason that may pass is tried again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from trial_factory import trial

from whet.core.artifact import Artifact, Format
from whet.core.contract import Contract
from whet.core.evidence import Status, Trial
from whet.core.note import Note
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.core.spec import Signature, TensorSpec
from whet.errors import (
    EngineError,
    MeasurementError,
    TrialCrashedError,
    TrialMemoryError,
    TrialTimeoutError,
    WhetError,
)
from whet.search.budget.budget import Budget
from whet.search.events import Event
from whet.search.ladder.trials import Trials
from whet.search.ladder.waves import wave
from whet.search.ledger.ledger import Ledger
from whet.search.stop import Stop
from whet.search.teller import Teller
from whet.search.workers.jobs import Made

UNTOUCHED = Recipe((), "onnxruntime", Settings())
QUANTISED = Recipe((Step("quantize-nncf-ir"),), "openvino", Settings())


class NoSamples(tuple[()]):
    samples = 0


class Scripted(Trials):
    """Each measuring ends as the next entry of ``script`` says; ``None`` = it runs."""

    script: list[WhetError | None]
    measured: int

    def _compared(self, trial: Trial) -> Trial:
        return trial

    def _measured(self, trial: Trial, judge: bool) -> Trial:
        self.measured += 1
        error = self.script.pop(0)
        if error is not None:
            raise error
        return msgspec.structs.replace(trial, notes=(Note("ran", "it did"),))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", "key") as book:
        yield book


def run(ledger: Ledger, *script: WhetError | None) -> Scripted:
    budget = Budget(time.monotonic(), 600.0)
    told: list[Event] = []
    # All that attempting reads.
    setup = SimpleNamespace(
        contract=Contract(), repair=(), certify=NoSamples(), original_ms=1.0, values=10
    )
    found = Scripted(setup, ledger, budget, Teller(told.append, budget), Stop())
    found.script, found.measured = list(script), 0
    return found


def test_an_untouched_engine_that_was_killed_runs_at_the_second_try(ledger: Ledger) -> None:
    trials = run(ledger, TrialCrashedError("was killed by SIGKILL"), None)
    tried = trials.attempt(UNTOUCHED, 1)
    assert tried is not None
    assert tried.status is Status.OK
    assert trials.measured == 2
    assert "was killed by SIGKILL" in trials.tell.remarks[0].reason
    kept = ledger.find(UNTOUCHED.digest())
    assert kept is not None
    assert kept.status is Status.OK


def test_twice_is_enough_for_one_run_and_the_next_run_tries_again(ledger: Ledger) -> None:
    crash = TrialCrashedError("dead")
    first = run(ledger, crash, crash)
    tried = first.attempt(UNTOUCHED, 1)
    assert tried is not None
    assert (tried.status, first.measured) == (Status.CRASHED, 2)
    assert first.attempt(UNTOUCHED, 1) is tried  # not a third time in this run
    second = run(ledger, None)
    tried = second.attempt(UNTOUCHED, 1)
    assert tried is not None
    assert (tried.status, second.measured) == (Status.OK, 1)


@pytest.mark.parametrize(
    ("error", "times"),
    [
        (TrialCrashedError("dead"), 2),
        (TrialTimeoutError("late"), 2),
        (TrialMemoryError("big"), 2),
        (EngineError("refused"), 1),
        (None, 1),
    ],
)
def test_only_what_ran_and_what_was_refused_is_remembered(
    ledger: Ledger, error: WhetError | None, times: int
) -> None:
    """A candidate is tried once per run; one that was killed with its search isn't repeated."""
    runs = [run(ledger, error), run(ledger, error)]
    for trials in runs:
        trials.attempt(QUANTISED, 2)
    assert sum(trials.measured for trials in runs) == times


def test_an_engine_that_the_cache_dropped_is_made_again(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Signature((TensorSpec("x", "float32", (1,)),), (TensorSpec("y", "float32", (1,)),))
    graph = Artifact(str(tmp_path / "graph.onnx"), Format.ONNX, spec)
    engine = tmp_path / "engine.blob"
    engine.write_bytes(b"engine")
    orders: list[Recipe] = []

    def make(setup: object, recipe: Recipe, *_: object) -> Made:
        orders.append(recipe)
        engine.write_bytes(b"engine")
        return Made(graph, str(engine), ())

    monkeypatch.setattr("whet.search.ladder.trials.engine_for", make)
    trials = run(ledger, None)
    tried = trials.attempt(UNTOUCHED, 1)
    assert tried is not None
    for _ in range(3):
        assert trials.made_for(tried).engine == str(engine)
    assert len(orders) == 1
    engine.unlink()
    assert Path(trials.made_for(tried).engine).is_file()
    assert orders == [UNTOUCHED, UNTOUCHED]


def test_a_figure_that_cannot_be_believed_is_not_tried_again_at_once(ledger: Ledger) -> None:
    trials = run(ledger, MeasurementError("above the ceiling"))
    trials.attempt(UNTOUCHED, 1)
    assert trials.measured == 1


def test_a_rung_without_time_is_not_begun_and_says_what_budget_it_needs(ledger: Ledger) -> None:
    trials = run(ledger, None)
    trials.budget = Budget(time.monotonic(), 9.0)
    assert wave(trials, 2, [QUANTISED]) == []
    assert trials.tell.entered == set()
    assert trials.skipped[QUANTISED.digest()].need_s >= 10.0  # what a first trial is taken to need
    trials.budget = Budget(time.monotonic(), 600.0)
    (tried,) = wave(trials, 2, [QUANTISED])
    assert tried.status is Status.OK
    assert trials.tell.entered == {2}
    assert trials.skipped == {}


def test_a_remembered_crash_does_not_hide_behind_the_anchor(ledger: Ledger) -> None:
    ledger.record(trial("old", 1.0, untouched=True, status=Status.TIMED_OUT))
    trials = run(ledger, None)
    tried = trials.attempt(Recipe((), "old", Settings()), 1)
    assert tried is not None
    assert tried.status is Status.OK

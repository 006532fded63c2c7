"""A network that is far too large for its task is replaced by one of the zoo, proven and faster."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stripes import stripes, train

import whet
from whet.core.contract import Contract, Drop
from whet.core.evidence import Evidence, Status, Trial
from whet.search.events import Event, TrialDone
from whet.search.ladder import climb, sizing
from whet.search.ladder import substitute as rung
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.workers.student_jobs import Fitting

torch = pytest.importorskip("torch")


class Heavy(torch.nn.Module):
    """Three wide convolutions for four kinds of stripes."""

    def __init__(self) -> None:
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(
            nn.Conv2d(1, 96, 3, padding=1), nn.ReLU(),
            nn.Conv2d(96, 96, 3, padding=1), nn.ReLU(),
            nn.Conv2d(96, 96, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(96, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x).mean((2, 3)))


def resnets(setup: Setup, trials: Trials, fitting: Any = sizing._fitting) -> Fitting:
    """One family of those that fit, which makes one graph to be timed each round."""
    sized = fitting(setup, trials).sized
    return Fitting(tuple(each for each in sized if each.student.family == "resnet"))


@pytest.fixture(scope="module")
def found(caches: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    images, labels = stripes(np.random.default_rng(0), 2000)
    torch.manual_seed(0)
    network = Heavy()
    train(network, images[:600], labels[:600])
    enough = threading.Event()

    def look(event: Event) -> None:
        """Stop behind the first student: what was found by then is certified and packed."""
        if isinstance(event, TrialDone) and event.trial.rung == 5:
            enough.set()

    with pytest.MonkeyPatch.context() as patch:
        # Straight to the rung that is looked at: those before it have tests of their own.
        patch.setattr(climb, "_go_up", lambda setup, trials, _: rung.substitute(setup, trials))
        patch.setattr(sizing, "_fitting", resnets)
        patch.setattr(sizing, "ROUND_S", 20.0)
        patch.setattr(rung, "ROUND_S", 20.0)
        patch.setattr(rung, "_SIZING", 0.7)
        outcome = whet.optimize(
            network.eval(),
            {"x": images[1200:]},
            Contract(metric="top1", max_drop=Drop(0.03)),
            labels=labels[1200:],
            train={"x": images[:1200]},
            runtimes=("onnxruntime",),
            budget_s=300.0,
            on_event=look,
            cancel=enough,
            out=tmp_path_factory.mktemp("heavy") / "out.whet",
        )
    return outcome.evidence


def students(evidence: Evidence) -> list[Trial]:
    return [t for t in evidence.trials if t.rung == 5]


@pytest.mark.slow
def test_a_student_is_built_timed_judged_and_called_what_it_is(found: Evidence) -> None:
    tried = students(found)
    assert tried, [n.reason for n in found.notes]
    for trial in tried:
        assert trial.status is Status.OK, trial.notes
        assert trial.recipe.substitutes
        assert "substitute" in trial.name
        assert "taught" in trial.name
        names = [step.name for step in trial.recipe.steps]
        assert names[:3] == ["substitute", "distill", "to-graph"]
        assert trial.select is not None
        assert any("Another network" in note.reason for note in trial.notes)


@pytest.mark.slow
def test_it_is_clearly_faster_than_what_was_good_before(found: Evidence) -> None:
    (student, *_) = students(found)
    assert student.speedup is not None
    before = [t.speedup.value for t in found.trials if t.rung < 5 and t.speedup is not None]
    assert student.speedup.value > 1.1 * max(before)


@pytest.mark.slow
def test_a_chosen_one_is_labelled_a_substitution(found: Evidence) -> None:
    chosen = next(t for t in found.trials if t.id == found.chosen)
    assert chosen.recipe.substitutes, found.sentence
    assert "another network, taught to answer as yours does" in found.sentence

"""No engine is trusted for being untouched, and no output for not being the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import whet
from whet.bundle.golden import load_goldens
from whet.bundle.read import read_bundle
from whet.core.contract import Contract, Drop
from whet.core.evidence import Status, Trial, Verdict
from whet.core.spec import Arrays
from whet.errors import TrialCrashedError
from whet.measure.clock import Race
from whet.measure.contender import Contender
from whet.search.closing import close, goldens
from whet.search.decisions.figures import answers_right, is_untouched
from whet.search.ladder import assay
from whet.search.ladder.trials import Trials
from whet.search.outcome import Outcome
from whet.search.setup import Setup

_HASH = """
import torch
from torch import nn


class Hash(nn.Module):
    # Character hash embedding (as CANINE's): int64 arithmetic past 2**31.
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.out = nn.Embedding(1009, 64), nn.Linear(64, 8)

    def forward(self, ids):
        return self.out(torch.tanh(self.embed(((ids + 1) * 2654435761) % 1009).mean(1)))


def build():
    return Hash()
"""

_TWO = """
import torch
from torch import nn


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Flatten())
        self.classes, self.embedding = nn.Linear(2048, 10), nn.Linear(2048, 16)

    def forward(self, x):
        found = self.body(x)
        return self.classes(found) * 20, self.embedding(found), found[:, :8]


def build():
    return Two()
"""

# Of `_TWO` in float32. Only what stores fewer bits keeps it, so some of that reaches the end also
# where the CPU runs nothing faster than float32.
_HALF = 150_000

Spoil = Callable[[Contender, Arrays], Arrays]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that were spoiled must not be found by another test."""
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))


def spoiled(monkeypatch: pytest.MonkeyPatch, spoil: Spoil) -> None:
    """Engines whose answers are changed on their way, as a wrong runtime would."""
    real = assay.answers_of

    def answers_of(contender: Contender, *args: object, **kwargs: object) -> Arrays:
        found = real(contender, *args, **kwargs)  # type: ignore[arg-type]  # passed on as they are
        return spoil(contender, found)

    monkeypatch.setattr(assay, "answers_of", answers_of)


def optimize(
    tmp_path: Path,
    code: str,
    samples: Arrays,
    contract: Contract,
    runtimes: tuple[str, ...],
    budget_s: float = 30.0,
) -> Outcome:
    (tmp_path / "net.py").write_text(code)
    return whet.optimize(
        f"{tmp_path / 'net.py'}:build",
        samples,
        contract,
        out=tmp_path / "net.whet",
        budget_s=budget_s,
        runtimes=runtimes,
    )


def pictures(count: int = 700) -> Arrays:
    return {"x": np.random.default_rng(0).normal(size=(count, 1, 8, 8)).astype(np.float32)}


def chosen_of(outcome: Outcome) -> Trial:
    return next(t for t in outcome.evidence.trials if t.id == outcome.evidence.chosen)


def test_a_runtime_that_computes_something_else_is_not_certified(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 1_000_000, (700, 12))
    outcome = optimize(
        tmp_path, _HASH, {"ids": ids}, Contract(threads=1, metric="agreement"), ("openvino",)
    )
    untouched = [t for t in outcome.evidence.trials if is_untouched(t)]
    if all(map(answers_right, untouched)):
        pytest.skip("this OpenVINO multiplies int64 as the network means it")
    assert outcome.exit_code == 2
    assert outcome.evidence.kept is Verdict.FAILED
    assert "untouched, yet its answers differ from the original's" in outcome.evidence.sentence
    assert "--runtimes" in outcome.evidence.sentence
    assert (tmp_path / "net.whet").is_dir(), "the nearest miss is saved"


def test_the_best_untouched_engine_is_the_fastest_that_answers_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(contender: Contender, found: Arrays) -> Arrays:
        wrong = contender.runtime == "openvino"
        return {n: np.roll(a, 1, axis=1) if wrong else a for n, a in found.items()}

    spoiled(monkeypatch, swapped)
    contract = Contract(threads=1, metric="agreement", max_drop=Drop(0.02))
    outcome = optimize(tmp_path, _TWO, pictures(), contract, ("openvino", "onnxruntime"))
    evidence = outcome.evidence
    assert outcome.exit_code == 0, evidence.sentence
    baseline = next(t for t in evidence.trials if t.id == evidence.baseline)
    assert baseline.recipe.runtime == chosen_of(outcome).recipe.runtime == "onnxruntime"
    assert baseline.certify is not None
    assert baseline.certify.same
    wrong = [t for t in evidence.trials if is_untouched(t) and t.recipe.runtime == "openvino"]
    assert wrong
    assert all(not answers_right(t) and t.lost for t in wrong)
    assert any("doesn't compute what the original computes" in n.reason for n in evidence.notes)
    assert not any("openvino fp32" in name for name in evidence.feasibility.probes_ms)


def test_an_untouched_engine_that_errs_on_certify_samples_alone_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = pictures()
    first: dict[str, int] = {}

    def late(contender: Contender, found: Arrays) -> Arrays:
        rows = len(next(iter(found.values())))
        first.setdefault("rows", rows)
        return {n: -a if rows > first["rows"] else a for n, a in found.items()}

    spoiled(monkeypatch, late)
    contract = Contract(threads=1, metric="agreement", max_drop=Drop(0.02))
    outcome = optimize(tmp_path, _TWO, samples, contract, ("onnxruntime",))
    assert outcome.exit_code == 2
    assert chosen_of(outcome).select is not None
    assert outcome.evidence.kept is Verdict.FAILED
    assert "untouched, yet" in outcome.evidence.sentence


def test_a_destroyed_second_output_is_found_and_an_ignored_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_the_first_stays(contender: Contender, found: Arrays) -> Arrays:
        hurt = "fp32" not in contender.name
        return {n: np.zeros_like(a) if hurt and i else a for i, (n, a) in enumerate(found.items())}

    spoiled(monkeypatch, only_the_first_stays)
    contract = Contract(
        threads=1,
        metric="agreement",
        max_drop=Drop(0.05),
        max_bytes=_HALF,
        ignore_outputs=("output_2",),
    )
    outcome = optimize(tmp_path, _TWO, pictures(), contract, ("openvino",), budget_s=90.0)
    judged = [t for t in outcome.evidence.trials if t.select is not None and not is_untouched(t)]
    assert judged, "something smaller was judged"
    for trial in judged:
        assert trial.select is not None
        (second,) = trial.select.outputs
        assert (second.name, second.verdict) == ("output_1", Verdict.FAILED)
        assert trial.select.verdict is Verdict.FAILED
        assert trial.select.ignored == ("output_2",)
        assert "output_1" in trial.lost
    assert is_untouched(chosen_of(outcome))
    assert outcome.exit_code == 2
    assert outcome.evidence.contract.ignore_outputs == ("output_2",)


def assert_out(outcome: Outcome, names: list[str]) -> None:
    """Candidates that failed at the end are neither chosen nor packed."""
    assert names, "something was certified"
    assert is_untouched(chosen_of(outcome))
    failed = [t for t in outcome.evidence.trials if t.name in names]
    assert {t.status for t in failed} == {Status.CRASHED}
    assert all(t.variant is None for t in failed)


def test_a_candidate_that_fails_in_the_last_race_is_not_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = close.race_in_full
    out: list[str] = []

    def failing(setup: Setup, trials: Trials, finalists: list[Trial]) -> Race:
        found = real(setup, trials, finalists)
        out.extend(t.name for t in finalists if not is_untouched(t))
        error = TrialCrashedError("killed by SIGSEGV", "Look at its notes.")
        kept = {name: value for name, value in found.latency.items() if name not in out}
        return replace(found, latency=kept, failures=dict.fromkeys(out, error))

    monkeypatch.setattr(close, "race_in_full", failing)
    contract = Contract(
        limit_ms=1000.0, threads=1, metric="closeness", max_drop=Drop(0.3), max_bytes=_HALF
    )
    outcome = optimize(tmp_path, _TWO, pictures(), contract, ("openvino",), budget_s=90.0)
    assert_out(outcome, out)


def test_a_candidate_that_fails_when_its_goldens_are_recorded_is_not_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = goldens.answers_of
    out: list[str] = []

    def failing(contender: Contender, *given: Any, **named: Any) -> Arrays:
        if "fp32" in contender.name:
            return real(contender, *given, **named)
        out.append(contender.name)
        raise TrialCrashedError("killed by SIGSEGV", "Look at its notes.")

    monkeypatch.setattr(goldens, "answers_of", failing)
    contract = Contract(
        limit_ms=1000.0, threads=1, metric="closeness", max_drop=Drop(0.3), max_bytes=_HALF
    )
    outcome = optimize(tmp_path, _TWO, pictures(), contract, ("openvino",), budget_s=90.0)
    assert_out(outcome, out)
    assert outcome.bundle is not None
    assert load_goldens(read_bundle(outcome.bundle)) is not None

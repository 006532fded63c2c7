"""A second search on the same network repeats nothing that still holds of the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stripes import Job

import whet
from whet.core.contract import Contract, Drop
from whet.core.evidence import Evidence, Status, Trial, Verdict
from whet.search.decisions.figures import is_untouched
from whet.search.ledger.reuse import REUSED


def run(
    job: Job,
    samples: Path,
    drop: float,
    *,
    limit_ms: float | None = None,
    budget_s: float | None = None,
) -> Evidence:
    return whet.optimize(
        job.network,
        str(samples),
        Contract(limit_ms=limit_ms, metric="top1", max_drop=Drop(drop)),
        weights=job.weights,
        runtimes=("onnxruntime",),
        budget_s=budget_s,
    ).evidence


@pytest.fixture(scope="module")
def samples(job: Job, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two sets of the user's: 400 rows each, half of them in both."""
    folder = tmp_path_factory.mktemp("samples")
    data = np.load(job.samples)
    for name, rows in (("one", slice(0, 400)), ("two", slice(200, 600))):
        np.savez(folder / f"{name}.npz", images=data["images"][rows], labels=data["labels"][rows])
    return folder / "one.npz", folder / "two.npz"


@pytest.fixture(scope="module")
def pair(
    job: Job, samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Evidence, Evidence]:
    """Two searches that end soon because the limit is easy, the second with other samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHET_CACHE", str(tmp_path_factory.mktemp("own-cache")))
        first, second = (run(job, one, 0.05, limit_ms=1e3, budget_s=120.0) for one in samples)
    return first, second


def reused(evidence: Evidence) -> dict[str, Trial]:
    return {t.id: t for t in evidence.trials if any(n.where == REUSED for n in t.notes)}


def candidates(evidence: Evidence) -> dict[str, Trial]:
    """Those whose speed surely holds; an untouched engine is timed again where it was noisy."""
    return {t.id: t for t in evidence.trials if t.status is Status.OK and not is_untouched(t)}


def assert_nothing_timed_twice(first: Evidence, second: Evidence) -> None:
    known = candidates(first)
    again = [t for t in second.trials if t.id in known]
    assert again
    assert all(t.seconds == known[t.id].seconds for t in again)


def test_other_samples_time_no_candidate_again(pair: tuple[Evidence, Evidence]) -> None:
    first, second = pair
    assert not reused(first)
    assert_nothing_timed_twice(first, second)
    assert {t.id for t in second.trials if t.id in candidates(first)} <= set(reused(second))


def test_the_evidence_says_which_search_it_came_from(pair: tuple[Evidence, Evidence]) -> None:
    first, second = pair
    began = first.started[:10]
    assert any(n.where == REUSED and began in n.reason for n in second.notes)
    for trial in reused(second).values():
        assert any(n.where == REUSED and began in n.reason for n in trial.notes)


def test_what_is_chosen_is_proven_on_its_own_samples(pair: tuple[Evidence, Evidence]) -> None:
    second = pair[1]
    chosen = next(t for t in second.trials if t.id == second.chosen)
    assert second.kept is Verdict.PASSED
    assert chosen.id == second.baseline or (
        chosen.speedup is not None
        and chosen.speedup.low > 1.0
        and chosen.certify is not None
        and chosen.certify.verdict is Verdict.PASSED
        and chosen.certify.n == second.samples.certify
    )


@pytest.mark.slow
@pytest.mark.unbounded
@pytest.mark.timeout(3600)  # three whole searches: over ten minutes on a busy machine
def test_whole_searches_end_sooner(
    job: Job, samples: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no limit of time, what is tried doesn't hang on how busy the machine is."""
    monkeypatch.setenv("WHET_CACHE", str(tmp_path))
    first, second = (run(job, one, 0.05) for one in samples)
    assert_nothing_timed_twice(first, second)
    assert second.seconds < first.seconds
    answers = {p: p.stat().st_mtime_ns for p in tmp_path.glob("searches/*/answers/select/*")}
    judged = {t.id for t in second.trials if t.select is not None and not is_untouched(t)}
    assert {p.name for p in answers} >= judged
    third = run(job, samples[1], 0.1)  # another floor on the same samples
    assert_nothing_timed_twice(second, third)
    assert all(t.select.allowed == 0.1 for t in third.trials if t.select is not None)
    assert all(p.stat().st_mtime_ns == written for p, written in answers.items())
    assert third.kept is Verdict.PASSED

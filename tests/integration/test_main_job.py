"""The main job from files to a bundle that answers, on a network trained in the test."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from stripes import Job

import whet
from whet.core.contract import Contract, Drop
from whet.core.evidence import Evidence, Status, Verdict
from whet.core.standing import Standing
from whet.measure.roofline import top_precision
from whet.search.decisions.figures import is_untouched
from whet.search.events import Event, Finished, Started, TrialDone
from whet.search.outcome import Outcome

RUNTIMES = ("openvino", "onnxruntime")
CONTRACT = Contract(metric="top1", max_drop=Drop(0.05))


@pytest.fixture(scope="module")
def done(
    job: Job, caches: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    outcome = whet.optimize(
        job.network,
        str(job.samples),
        CONTRACT,
        weights=job.weights,
        out=tmp_path_factory.mktemp("out") / "stripes.whet",
        budget_s=100.0,
        runtimes=RUNTIMES,
        on_event=events.append,
    )
    return outcome, events


@pytest.fixture(scope="module")
def evidence(done: tuple[Outcome, list[Event]]) -> Evidence:
    return done[0].evidence


def test_the_contract_is_kept_and_the_chosen_is_proven(evidence: Evidence) -> None:
    chosen = next(t for t in evidence.trials if t.id == evidence.chosen)
    assert evidence.kept is Verdict.PASSED
    assert chosen.lost == ""
    assert is_untouched(chosen) or (
        chosen.certify is not None and chosen.certify.verdict is Verdict.PASSED
    )


def test_never_slower_than_the_best_untouched(evidence: Evidence) -> None:
    chosen = next(t for t in evidence.trials if t.id == evidence.chosen)
    assert chosen.speedup is not None
    assert chosen.id == evidence.baseline or chosen.speedup.low > 1.0


def test_int8_was_tried_and_every_other_trial_says_why_it_lost(evidence: Evidence) -> None:
    assert any("int8" in t.name and t.status is Status.OK for t in evidence.trials)
    assert all(t.lost for t in evidence.trials if t.id != evidence.chosen)
    assert len({t.name for t in evidence.trials}) == len(evidence.trials)


def test_parts_are_disjoint_in_size(evidence: Evidence, job: Job) -> None:
    s = evidence.samples
    assert s.repair + s.select + s.certify == s.total == job.count
    assert s.labelled


def test_time_is_kept(evidence: Evidence) -> None:
    assert evidence.seconds <= 110.0


def test_what_the_search_and_the_chosen_took_is_known(evidence: Evidence) -> None:
    assert evidence.peak_bytes is not None
    assert evidence.peak_bytes > 100_000_000, "this process and its workers"
    chosen = next(t for t in evidence.trials if t.id == evidence.chosen)
    assert chosen.footprint is not None
    assert chosen.footprint.load_ms is not None
    # A machine that is busy may leave no time for it, which is said.
    assert chosen.footprint.cold_start_ms is not None or any(
        note.where == "cold start" for note in chosen.footprint.notes
    )
    assert chosen.footprint.energy_mj is not None or any(
        note.where == "energy" for note in chosen.footprint.notes
    )


def test_bytes_moved_and_ceiling_are_the_candidates_own(evidence: Evidence) -> None:
    ran = [t for t in evidence.trials if t.footprint is not None and t.status is Status.OK]
    floats = {t.footprint.bytes_moved for t in ran if is_untouched(t) and t.footprint}
    assert len(floats) == 1
    (float_bytes,) = floats
    int8 = [t.footprint for t in ran if "int8" in t.name and "weights" not in t.name]
    assert int8
    highest = top_precision(evidence.machine.ceilings, "int8")  # an old CPU's floats may be faster
    for taken in int8:
        assert taken is not None
        assert taken.ceiling in {highest, None}
        assert taken.bytes_moved is not None
        assert float_bytes is not None
        assert taken.bytes_moved < 0.7 * float_bytes
        assert not any(note.where == "bytes moved" for note in taken.notes), "counted, not guessed"


def test_events_tell_the_story(done: tuple[Outcome, list[Event]]) -> None:
    events = done[1]
    kinds = [type(e) for e in events]
    assert kinds.count(Started) == 1
    assert kinds[-1] is Finished
    assert sum(k is TrialDone for k in kinds) == len(done[0].evidence.trials)
    times = [e.elapsed_s for e in events]
    assert times == sorted(times)


def test_the_bundle_answers_like_the_original(done: tuple[Outcome, list[Event]], job: Job) -> None:
    bundle = done[0].bundle
    assert bundle is not None
    data = np.load(job.samples)
    with whet.load(bundle) as model:
        (scores,) = model.run(data["images"]).values()
    assert scores.shape == (job.count, 4)
    assert float(np.mean(scores.argmax(1) == data["labels"])) > 0.9


def test_verify_replays_and_measures_here(done: tuple[Outcome, list[Event]]) -> None:
    bundle = done[0].bundle
    assert bundle is not None
    found = whet.verify(bundle)
    assert found.ok
    assert found.machine_same
    assert found.latency is not None
    assert found.latency.queries > 10
    assert all(check.standing is Standing.HOLDS and check.results for check in found.checks)


def test_bench_and_inspect(done: tuple[Outcome, list[Event]]) -> None:
    bundle = done[0].bundle
    assert bundle is not None
    seen = whet.inspect(bundle)
    assert seen.evidence == done[0].evidence
    ran = whet.bench(bundle, scenario="server", seconds=1.0, rate_per_s=50.0, limit_ms=100.0)
    assert ran.outcome.queries == 50
    assert (bundle / "report.html").read_text().startswith("<!doctype html>")


def test_a_bundle_is_dated_by_its_packing(done: tuple[Outcome, list[Event]]) -> None:
    bundle, evidence = done[0].bundle, done[0].evidence
    assert bundle is not None
    created = datetime.fromisoformat(whet.inspect(bundle).manifest.created)
    took_s = (created - datetime.fromisoformat(evidence.started)).total_seconds()
    assert evidence.seconds / 2 < took_s < evidence.seconds + 1.0


def test_a_second_search_tries_nothing_again(
    done: tuple[Outcome, list[Event]], job: Job, tmp_path: Path
) -> None:
    again = whet.optimize(
        job.network,
        str(job.samples),
        CONTRACT,
        weights=job.weights,
        budget_s=100.0,
        runtimes=RUNTIMES,
    )
    before = {t.id: t.seconds for t in done[0].evidence.trials}
    known = [t for t in again.evidence.trials if t.id in before]
    # With time to spare it may try more, even find better settings; what it knew it didn't repeat.
    assert {t.id for t in known} >= {done[0].evidence.trials[0].id, done[0].evidence.trials[1].id}
    assert all(t.seconds == before[t.id] for t in known)
    assert again.bundle is None


def test_an_unreachable_contract_is_a_first_class_result(
    done: tuple[Outcome, list[Event]], job: Job, tmp_path: Path
) -> None:
    outcome = whet.optimize(
        job.network,
        str(job.samples),
        Contract(limit_ms=1e-4, metric="top1", max_drop=Drop(0.05)),
        weights=job.weights,
        out=tmp_path / "miss.whet",
        budget_s=40.0,
        runtimes=RUNTIMES,
    )
    assert outcome.exit_code == 2
    assert outcome.evidence.kept is Verdict.FAILED, "a median above the limit refutes its p99"
    assert outcome.evidence.feasibility.reachable is False
    assert "The contract is not kept" in outcome.evidence.sentence
    assert "of the width would fit" in outcome.evidence.sentence
    with whet.load(tmp_path / "miss.whet") as model:
        assert model.variant.trial == outcome.evidence.chosen


def test_unlabelled_samples_are_judged_against_the_original(job: Job, caches: Path) -> None:
    images = np.load(job.samples)["images"][:300]
    outcome = whet.optimize(
        job.network,
        {"images": images},
        Contract(max_drop=Drop(0.02)),
        weights=job.weights,
        budget_s=25.0,
        runtimes=("onnxruntime",),
    )
    assert outcome.evidence.contract.metric == "closeness"
    assert any("give --metric agreement" in n.reason for n in outcome.evidence.notes)
    assert not outcome.evidence.samples.labelled

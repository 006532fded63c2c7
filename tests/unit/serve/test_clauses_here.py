"""What a bundle's contract comes to on the machine that verifies it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import evidence_factory as factory
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.bundle.draft import VariantDraft
from whet.bundle.manifest import LatencySummary, QualitySummary
from whet.core.contract import Contract
from whet.core.evidence import Footprint, Verdict
from whet.serve.clauses import ClauseHere, Timing, clauses_here, far_off, whole
from whet.serve.timing import proof_seconds
from whet.serve.verify import verify

GOOD = QualitySummary.of(factory.quality(0.0, 3200), certified=True)
STATED = LatencySummary.of(factory.latency(5.0))


def here(p50: float, spread: float = 0.02, unrest: str = "", size: int = 1_000) -> Timing:
    return Timing(factory.latency(p50, spread), Footprint(size, peak_bytes=2 * size), unrest)


def verdicts(found: tuple[ClauseHere, ...]) -> dict[str, Verdict | None]:
    return {clause.name: clause.verdict for clause in found}


@pytest.mark.parametrize(
    ("limit_ms", "verdict"),
    [(2.0, Verdict.FAILED), (5.7, Verdict.UNDECIDED), (9.0, Verdict.PASSED)],
)
def test_the_limit_is_judged_by_what_was_measured_here(limit_ms: float, verdict: Verdict) -> None:
    found = clauses_here(Contract(limit_ms=limit_ms), GOOD, here(5.0))
    assert verdicts(found) == {"latency": verdict, "quality": Verdict.PASSED}
    assert whole(found) is verdict
    assert f"limit {limit_ms:g} ms" in found[0].words


def test_what_is_open_says_whether_noise_or_queries_are_the_cause() -> None:
    close = Contract(limit_ms=5.7)
    assert "medians of its restarts differ by 50%" in (
        clauses_here(close, GOOD, here(5.0, spread=0.5))[0].words
    )
    assert "too few queries" in clauses_here(close, GOOD, here(5.0))[0].words
    restless = here(5.0, unrest="other processes took 63% of the cores' time")
    tail = clauses_here(Contract(limit_ms=5.1), GOOD, restless)[0]
    assert tail.verdict is Verdict.UNDECIDED, "of a median within the limit"
    assert "too noisy to say: other processes took 63%" in tail.words
    assert clauses_here(Contract(limit_ms=4.9), GOOD, restless)[0].verdict is Verdict.FAILED
    few = Timing(factory.latency(5.0, queries=100), Footprint(1))
    assert "100 were had" in clauses_here(close, GOOD, few)[0].words


def test_size_and_memory_are_judged_and_what_nobody_timed_is_not() -> None:
    contract = Contract(limit_ms=9.0, max_bytes=900, max_memory_bytes=9_000)
    found = clauses_here(contract, GOOD, here(5.0))
    assert verdicts(found)["size"] is Verdict.FAILED
    assert verdicts(found)["memory"] is Verdict.PASSED
    assert verdicts(clauses_here(contract, GOOD, None))["latency"] is Verdict.UNDECIDED
    quick = clauses_here(contract, GOOD, None, quick=True)
    assert verdicts(quick) == {
        "latency": None,
        "size": None,
        "memory": None,
        "quality": Verdict.PASSED,
    }
    assert whole(quick) is None, "what nobody looked at isn't kept"
    assert whole(clauses_here(Contract(), GOOD, None, quick=True)) is Verdict.PASSED
    assert whole(clauses_here(contract, None, None, quick=True)) is Verdict.UNDECIDED
    assert whole(()) is None


def test_a_quality_that_nobody_certified_is_not_proven() -> None:
    selected = msgspec.structs.replace(GOOD, certified=False)
    for quality in (None, selected):
        assert verdicts(clauses_here(Contract(), quality, None))["quality"] is Verdict.UNDECIDED


def test_far_off_names_the_likely_cause() -> None:
    def said(timing: Timing, same: bool = True) -> str:
        return far_off(99.0, STATED, timing, machine_same=same)

    assert said(here(5.0)) == said(here(7.0)) == said(here(1.0)) == ""
    assert "p99 is 30 times" in said(here(150.0))
    assert "another machine" in said(here(150.0), same=False)
    assert "the hypervisor" in said(here(150.0, unrest="the hypervisor kept 20% of it"), same=False)
    slow_tail = msgspec.structs.replace(
        factory.latency(5.0),
        percentiles=(*STATED.percentiles[:2], factory.latency(50.0).percentiles[2]),
    )
    assert "now and then" in said(Timing(slow_tail, Footprint(1)))
    assert far_off(99.0, None, here(9.0), machine_same=True) == ""


@given(st.floats(0.01, 500), st.floats(0.01, 500))
def test_timing_lasts_as_long_as_the_proof_and_no_longer_than_two_minutes(
    mean_ms: float, limit_ms: float
) -> None:
    stated = msgspec.structs.replace(STATED, mean_ms=mean_ms)
    seconds = proof_seconds(20.0, Contract(limit_ms=limit_ms), stated)
    assert 20.0 <= seconds <= 120.0
    if mean_ms <= limit_ms and seconds < 120.0:
        assert seconds >= 662 * mean_ms / 1e3
    assert proof_seconds(20.0, Contract(), stated) == proof_seconds(20.0, None, None) == 20.0


def test_a_limit_that_no_machine_keeps_is_not_kept_here(
    variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path]
) -> None:
    evidence = factory.evidence(contract=Contract(limit_ms=1e-4, threads=1))
    bundle = bundle_of(variant("a", quality=GOOD), evidence=evidence)
    found = verify(bundle, seconds=2.0)
    assert found.ok, "its answers are as recorded"
    assert verdicts(found.clauses)["latency"] is Verdict.FAILED
    assert found.kept is Verdict.FAILED
    assert verify(bundle, quick=True).kept is None


def test_the_size_is_that_of_the_files_in_the_bundle_and_not_of_the_engine(
    variant: Callable[..., VariantDraft], bundle_of: Callable[..., Path], tmp_path: Path
) -> None:
    small = variant("a", "openvino", quality=GOOD)
    files = small.artifact.size_bytes()
    evidence = factory.evidence(contract=Contract(max_bytes=files, threads=1))
    bundle = bundle_of(small, evidence=evidence)
    engines = tmp_path / "engines"
    found = verify(bundle, seconds=2.0, engines=engines)
    compiled = max(f.stat().st_size for f in engines.rglob("*") if f.is_file())
    assert compiled > files, "the limit lies between them"
    assert verdicts(found.clauses)["size"] is Verdict.PASSED
    assert found.kept is Verdict.PASSED

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Latency, Percentile, Ratio, TailRatio, Trial, Verdict
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.measure.latency_clause import judging_point, kept_latency, median_fits
from whet.search.decisions.decide import choose, clauses
from whet.search.words.misses import noise_decides
from whet.search.words.outcome import next_step, outcome_sentence
from whet.search.words.substitution import SUBSTITUTION

BUSY = "other processes took 54% of the cores' time"
TIGHT = Contract(limit_ms=0.02, max_drop=Drop(0.05))
TWO_MS = Contract(limit_ms=2.0, max_drop=Drop(0.01))


def timed(found: Trial, *points: tuple[float, float, float, float], queries: int = 285) -> Trial:
    """With these percentiles: q, value, low, high."""
    own = tuple(Percentile(*point) for point in points)
    latency = Latency(1, 1, 2, queries, 0.1, 16.0, own, 0.0, 7000.0)
    return msgspec.structs.replace(found, latency=latency)


FEW = timed(
    trial("onnxruntime fp32", 1.0, untouched=True),
    (50.0, 0.0626, 0.0625, 0.0629),
    (90.0, 0.0822, 0.0713, 0.1276),
    (95.0, 0.1463, 0.1109, 0.1630),
)
TAIL = (99.0, 4.47, 4.38, 4.54)
FP32 = timed(
    trial("openvino fp32", 1.0, untouched=True), (50.0, 0.257, 0.256, 0.257), TAIL, queries=1177
)


def int8(p99: tuple[float, float, float, float], *, tail: TailRatio | None) -> Trial:
    """The int8 probe as it was timed beside 54 % of foreign work: certified, its speed noisy."""
    probe = timed(trial("int8 probe", 2.69, certify=quality(0.0)), (50.0, 0.093, 0.09, 0.1), p99)
    ratio = Ratio("openvino fp32", 2.69, 0.855, 8.48, noisy=True)
    return msgspec.structs.replace(probe, speedup=ratio, tail=tail)


def test_a_lower_percentile_above_the_limit_refutes_it() -> None:
    """133 queries say nothing of p99, but half of them took three times the limit."""
    assert kept_latency(FEW.latency, TIGHT) is Verdict.FAILED
    chosen, verdict = choose([FEW], TIGHT, FEW)
    assert verdict is Verdict.FAILED
    sentence = outcome_sentence(chosen, verdict, TIGHT, FEW)
    assert (
        "p95 is 0.146 ms already, at least 0.111, and p99 can't be less; limit 0.02 ms" in sentence
    )
    assert "about 57% of the width would fit" in next_step(chosen, verdict, TIGHT, [FEW])


@given(
    values=st.lists(st.floats(0.1, 10.0), min_size=1, max_size=4),
    limit_ms=st.floats(0.05, 20.0),
)
def test_a_lower_percentile_never_proves_a_limit(values: list[float], limit_ms: float) -> None:
    steps = zip((50.0, 90.0, 95.0, 98.0), sorted(values), strict=False)
    few = timed(FEW, *((q, v, 0.9 * v, 1.1 * v) for q, v in steps))
    contract = Contract(limit_ms=limit_ms)
    point = judging_point(few.latency, contract)
    assert point is not None
    assert point.low_ms is not None
    expected = Verdict.FAILED if point.low_ms > limit_ms else Verdict.UNDECIDED
    assert kept_latency(few.latency, contract) is expected


def test_a_faster_tail_makes_the_nearest_miss() -> None:
    near = int8((99.0, 3.24, 3.16, 3.31), tail=TailRatio(99.0, FP32.name, 1.38, 1.2, 1.5))
    chosen, verdict = choose([FP32, near], TWO_MS, FP32)
    assert (chosen.name, verdict) == ("int8 probe", Verdict.FAILED)


@pytest.mark.parametrize("tail", [None, TailRatio(99.0, "openvino fp32", 1.05, 0.8, 1.4)])
def test_a_nearer_one_that_noise_keeps_back_is_named(tail: TailRatio | None) -> None:
    near = int8((99.0, 4.24, 4.16, 4.31), tail=tail)
    chosen, verdict = choose([FP32, near], TWO_MS, FP32)
    assert (chosen.id, verdict) == (FP32.id, Verdict.FAILED), "never slower"
    sentence = outcome_sentence(chosen, verdict, TWO_MS, FP32, [FP32, near])
    assert "Nearest is" not in sentence
    assert "int8 probe came nearer (p99 4.24 ms" in sentence


def test_a_clause_that_names_itself_is_named_once() -> None:
    small = Contract(max_bytes=10)
    original = trial("openvino fp32", 1.0, untouched=True, disk=1000)
    sentence = outcome_sentence(original, Verdict.FAILED, small, original)
    assert sentence.endswith("Nearest is openvino fp32; size 1 kB, limit 10 B.")


def test_where_noise_decides_a_quiet_machine_is_advised_and_no_looser_contract() -> None:
    near = int8((99.0, 4.24, 4.16, 4.31), tail=None)
    assert noise_decides(FP32, TWO_MS, BUSY)
    advice = next_step(FP32, Verdict.FAILED, TWO_MS, [FP32, near], unrest=BUSY)
    assert BUSY in advice
    assert "quiet machine" in advice
    assert "Allow" not in advice


def test_noise_decides_nothing_where_the_median_misses_or_the_machine_was_quiet() -> None:
    assert not median_fits(FEW.latency, TIGHT)
    assert not noise_decides(FEW, TIGHT, BUSY)
    assert not noise_decides(FP32, TWO_MS, "")
    assert not noise_decides(FP32, Contract(limit_ms=5.0), BUSY)


def test_a_drop_is_advised_only_for_what_quality_alone_keeps_out() -> None:
    near = int8((99.0, 4.24, 4.16, 4.31), tail=None)
    advice = next_step(FP32, Verdict.FAILED, TWO_MS, [FP32, near])
    assert "drop" not in advice, "its quality is certified; its latency misses"
    lossy = timed(trial("int4", 4.0, select=quality(0.03)), (50.0, 0.06, 0.05, 0.07))
    advice = next_step(FP32, Verdict.FAILED, TWO_MS, [FP32, near, lossy])
    assert "a drop of 0.032 for int4" in advice
    slow = timed(lossy, (50.0, 3.0, 2.9, 3.1))
    assert "drop" not in next_step(FP32, Verdict.FAILED, TWO_MS, [FP32, slow])


def test_a_speed_up_that_noise_hides_is_told_although_the_contract_is_kept() -> None:
    near = int8((99.0, 4.24, 4.16, 4.31), tail=None)
    free = Contract(max_drop=Drop(0.01))
    chosen, verdict = choose([FP32, near], free, FP32)
    assert (chosen.id, verdict) == (FP32.id, Verdict.PASSED)
    advice = next_step(chosen, verdict, free, [FP32, near], unrest=BUSY)
    assert advice.startswith("int8 probe looks 2.69× as fast, too noisy to call")
    assert next_step(chosen, verdict, free, [FP32]) == ""


def test_the_clause_without_any_percentile_names_the_queries() -> None:
    named = {name: words for name, _, words in clauses(timed(FEW, queries=3), TIGHT)}
    assert "459 queries" in named["latency"]


def test_a_substitute_is_called_another_network() -> None:
    steps = (Step("substitute", {"family": "resnet"}), Step("to-graph"))
    made = trial("resnet", 3.0, select=quality(0.0), certify=quality(0.0))
    student = msgspec.structs.replace(made, recipe=Recipe(steps, "onnxruntime", Settings()))
    base = trial("openvino fp32", 1.0, untouched=True)
    said = [
        outcome_sentence(each, Verdict.PASSED, Contract(max_drop=Drop(0.01)), base)
        for each in (student, made)
    ]
    assert [SUBSTITUTION in sentence for sentence in said] == [True, False]

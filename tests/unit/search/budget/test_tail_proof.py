from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_factory import latency, trial

from whet.core.contract import Contract
from whet.core.evidence import Latency, Verdict
from whet.measure.plan import ClockPlan
from whet.measure.statistics import limit_verdict
from whet.search.budget.tail_proof import proof_s, too_few_notes
from whet.search.decisions.decide import clauses
from whet.search.decisions.figures import query_ms
from whet.search.words.outcome import next_step

P99 = Contract(limit_ms=120.0)


def few(queries: int, p50_ms: float) -> Latency:
    """Too few queries for p99."""
    whole = latency(p50_ms / 0.9)
    return msgspec.structs.replace(whole, queries=queries, percentiles=whole.percentiles[:1])


@given(
    st.sampled_from([50.0, 90.0, 95.0, 99.0, 99.9]),
    st.lists(st.floats(0.01, 1e4), min_size=1, max_size=6),
    st.integers(1, 8),
)
def test_the_time_holds_the_queries_of_whatever_may_keep_the_limit(
    percentile: float, medians_ms: list[float], concurrency: int
) -> None:
    contract = Contract(limit_ms=100.0, percentile=percentile, concurrency=concurrency)
    share_s = proof_s(contract, medians_ms, len(medians_ms)) / len(medians_ms)
    for ms in (m for m in medians_ms if m <= 100.0):
        had = int(share_s * 1e3 / ms * concurrency + 1e-6)
        assert limit_verdict(had, 1, percentile) is Verdict.PASSED


def test_without_a_limit_there_is_nothing_to_prove() -> None:
    assert proof_s(Contract(), [100.0], 3) == 0.0
    assert too_few_notes(Contract(), {"a": few(100, 100.0)}) == ()


def test_of_two_restarts_too_the_full_plan_asks_enough_for_one_miss() -> None:
    for percentile, needed in ((90.0, 64), (99.0, 662), (99.9, 6636)):
        plan = ClockPlan.full(percentile=percentile)
        assert 2 * plan.rounds * plan.queries_per_round >= needed


def test_the_note_says_how_many_were_had_and_how_many_are_needed() -> None:
    slow, enough, hopeless = few(213, 100.0), latency(100.0), few(213, 130.0)
    (note,) = too_few_notes(P99, {"slow": slow, "enough": enough, "hopeless": hopeless})
    assert note.where == "slow"
    assert "takes 459 queries without a miss to prove (662 with one), and 213 were had" in (
        note.reason
    )
    assert "--budget" in note.reason


def test_the_clause_and_the_advice_name_the_queries() -> None:
    slow = msgspec.structs.replace(trial("slow", 2.0, untouched=True), latency=few(213, 100.0))
    named = {name: (verdict, words) for name, verdict, words in clauses(slow, P99)}
    verdict, words = named["latency"]
    assert verdict is Verdict.UNDECIDED
    assert "459" in words
    assert "213" in words
    assert "--budget" in next_step(slow, Verdict.UNDECIDED, P99, [slow])


def test_a_query_is_timed_by_its_median() -> None:
    assert query_ms(few(10, 3.0)) == pytest.approx(3.0)
    assert query_ms(None) is None

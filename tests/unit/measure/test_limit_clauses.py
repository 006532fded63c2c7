from __future__ import annotations

import evidence_factory as factory
import pytest

from whet.core.contract import Contract
from whet.core.evidence import Footprint, Latency, Percentile, Verdict
from whet.measure.footprint_clauses import footprint_clauses
from whet.measure.latency_clause import kept_latency
from whet.measure.latency_words import queries_words

LIMITED = Contract(limit_ms=6.0)
TINY = Contract(max_bytes=1000)


def test_no_limit_is_always_kept() -> None:
    assert kept_latency(None, Contract()) is Verdict.PASSED


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (5.5, 6.0, Verdict.PASSED),
        (5.5, 6.1, Verdict.UNDECIDED),
        (6.0, None, Verdict.UNDECIDED),
        (6.1, None, Verdict.FAILED),
        (None, None, Verdict.UNDECIDED),
    ],
)
def test_the_interval_decides_not_the_point(
    low: float | None, high: float | None, expected: Verdict
) -> None:
    points = (Percentile(99.0, 5.9, low, high),)
    measured = Latency(1, 1, 1, 900, 5.0, 7.0, points, 0.0, 200.0)
    assert kept_latency(measured, LIMITED) is expected


def test_a_percentile_that_was_not_measured_decides_nothing() -> None:
    bare = Latency(1, 1, 1, 20, 5.0, 6.0, (), 0.0, 200.0)
    assert kept_latency(bare, LIMITED) is Verdict.UNDECIDED


def test_small_figures_are_shown_as_they_are() -> None:
    found = footprint_clauses(factory.footprint(148_601), TINY)
    assert found == [("size", Verdict.FAILED, "size 149 kB, limit 1 kB")]


def test_what_three_digits_hide_is_shown_in_full() -> None:
    ((_, verdict, words),) = footprint_clauses(Footprint(149_100), Contract(max_bytes=149_000))
    assert (verdict, words) == (Verdict.FAILED, "size 149,100 B, limit 149,000 B")


def test_a_contract_without_limits_has_no_such_clause_and_an_unknown_size_decides_nothing() -> None:
    assert footprint_clauses(Footprint(1), Contract()) == []
    memory = Contract(max_memory_bytes=2_000_000)
    (clause,) = footprint_clauses(Footprint(1, peak_bytes=4_000_000), memory)
    assert clause == ("memory", Verdict.FAILED, "memory 4 MB, limit 2 MB")
    ((_, verdict, _),) = footprint_clauses(Footprint(1), memory)
    assert verdict is Verdict.UNDECIDED


def test_without_a_limit_no_queries_are_missing() -> None:
    assert queries_words(Contract(), 3) == ""
    assert "takes 459 queries without a miss" in queries_words(LIMITED, 3)

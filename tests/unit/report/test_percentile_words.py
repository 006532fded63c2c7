"""Which percentile is told, why it is another than was asked for, and how sure it is."""

from __future__ import annotations

import evidence_factory as factory
import msgspec
import pytest

from whet.core.evidence import Evidence, Latency, Percentile
from whet.report.facts import Facts
from whet.report.headline import headline
from whet.report.percentile_words import interval_words, why_another

P95 = Percentile(95.0, 0.289, 0.25, 3.94)
FEW = Latency(1, 1, 2, 133, 0.3, 5.0, (P95,), 0.0, 3000.0)


def chosen_has(latency: Latency, *, limit_ms: float | None) -> Evidence:
    found = factory.evidence(
        contract=msgspec.structs.replace(factory.CONTRACT, limit_ms=limit_ms, percentile=99.0)
    )
    trials = tuple(
        msgspec.structs.replace(t, latency=latency) if t.id == found.chosen else t
        for t in found.trials
    )
    return msgspec.structs.replace(found, trials=trials)


@pytest.mark.parametrize("limit_ms", [None, 8.0])
def test_another_percentile_than_asked_for_says_why(limit_ms: float | None) -> None:
    words = headline(Facts(chosen_has(FEW, limit_ms=limit_ms)))
    assert (
        "answers within 289 µs at p95 (interval 250 µs to 3.94 ms, too wide to say much;"
        " p99 takes 459 queries, 133 were had)" in words
    )
    assert "at most 3.94" not in words


def test_without_a_limit_no_bound_reads_like_one() -> None:
    own = Percentile(99.0, 0.145, 0.14, 0.15)
    enough = msgspec.structs.replace(FEW, queries=900, percentiles=(own,))
    assert "at p99 (interval 140 µs to 150 µs)" in headline(
        Facts(chosen_has(enough, limit_ms=None))
    )
    assert "at p99 (at most 150 µs)" in headline(Facts(chosen_has(enough, limit_ms=8.0)))


def test_an_interval_may_lack_an_end() -> None:
    assert interval_words(Percentile(99.0, 1.0, None, None)) == ""
    assert interval_words(Percentile(99.0, 1.0, 0.9, None)) == "at least 900 µs"
    assert interval_words(Percentile(99.0, 1.0, None, 1.2)) == "at most 1.20 ms"


def test_what_was_measured_needs_no_reason() -> None:
    assert why_another(FEW, 95.0) == ""
    assert why_another(None, 99.0) == ""

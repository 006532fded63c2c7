"""What is said of a load, and which rate counts as kept."""

from __future__ import annotations

import pytest

from whet.core.evidence import Verdict
from whet.measure.load.highest import Tried, highest_kept, keeps, next_rate
from whet.measure.load.outcome import ANSWERED, Asked, load_of


def asked(n: int, ms: float, ending: str = ANSWERED, variant: str = "") -> list[Asked]:
    return [Asked(0.01 * k, 0.01 * k, 0.01 * k + ms / 1e3, ending, variant) for k in range(n)]


def test_latency_runs_from_when_a_request_was_due() -> None:
    late = Asked(due_s=1.0, sent_s=1.5, ended_s=1.6, ending=ANSWERED)
    load = load_of([late], 2.0)
    assert load.max_ms == pytest.approx(600)
    assert load.behind_ms == pytest.approx(500)


def test_only_answers_within_the_limit_are_good() -> None:
    load = load_of(
        [*asked(60, 5.0, variant="a"), *asked(20, 50.0, variant="b"), *asked(20, 1.0, "refused")],
        10.0,
        limit_ms=20.0,
    )
    assert (load.offered_per_s, load.answered_per_s, load.goodput_per_s) == (10.0, 8.0, 6.0)
    assert load.endings == {ANSWERED: 80, "refused": 20}
    assert load.variants == {"a": 60, "b": 20}
    assert load.refused_ms == pytest.approx(1.0)
    assert load.verdict is Verdict.FAILED


def test_a_proof_takes_enough_requests() -> None:
    few, many = (load_of(asked(n, 5.0), 10.0, limit_ms=20.0) for n in (100, 1000))
    assert few.verdict is Verdict.UNDECIDED
    assert many.verdict is Verdict.PASSED


def test_nothing_answered_is_told_as_such() -> None:
    load = load_of(asked(3, 1.0, "unreachable"), 1.0, limit_ms=5.0)
    assert (load.percentiles, load.max_ms, load.goodput_per_s) == ((), 0.0, 0.0)
    assert not keeps(load)


def test_a_rate_is_kept_when_hardly_anything_is_lost() -> None:
    assert keeps(load_of(asked(1000, 5.0), 10.0, limit_ms=20.0))
    assert not keeps(load_of(asked(980, 5.0) + asked(20, 1.0, "refused"), 10.0, limit_ms=20.0))
    assert keeps(load_of(asked(985, 5.0) + asked(15, 90.0), 10.0, limit_ms=20.0, percentile=95.0))
    assert not keeps(load_of(asked(1000, 5.0), 10.0))
    half = load_of(asked(600, 5.0) + asked(400, 90.0), 10.0, limit_ms=20.0, percentile=50.0)
    assert keeps(half), "the median is asked for, and kept"
    assert not keeps(load_of([], 10.0, limit_ms=20.0))


@pytest.mark.parametrize("true_rate", [3.0, 57.0, 200.0, 5000.0])
def test_the_highest_rate_is_found_to_five_percent(true_rate: float) -> None:
    tried: list[Tried] = []
    while (rate := next_rate(tried, 100.0)) is not None:
        tried.append(Tried(rate, rate <= true_rate))
    found = highest_kept(tried)
    assert found is not None
    assert found <= true_rate <= 1.06 * found
    assert len(tried) <= 12


def test_a_rate_kept_by_luck_above_one_that_broke_doesnt_count() -> None:
    tried = [Tried(100, True), Tried(200, False), Tried(400, True)]
    assert highest_kept(tried) == 100
    assert highest_kept([Tried(100, False)]) is None

from __future__ import annotations

import msgspec
import pytest
from trial_factory import latency, trial

from whet.search.closing_cost import answers_s, closing_s

STARTS_S = 1.5 * 6


def test_without_trials_engines_are_guessed_from_the_original() -> None:
    # 1000 rows: 30 ms of the original, 15 of the best untouched, four finalists at 10.
    found = answers_s(1000, 30.0, untouched_ms=[], others_ms=[])
    assert found == pytest.approx(30.0 + 15.0 + 40.0 + STARTS_S)


def test_what_was_timed_takes_the_place_of_the_guess() -> None:
    found = answers_s(1000, 30.0, untouched_ms=[12.0, 8.0], others_ms=[2.0, 4.0])
    assert found == pytest.approx(30.0 + 8.0 + (2.0 + 4.0 + 2 * 2.0) + STARTS_S)


def test_only_the_fastest_become_finalists() -> None:
    found = answers_s(1000, 30.0, untouched_ms=[8.0], others_ms=[9.0, 1.0, 2.0, 3.0, 4.0])
    assert found == pytest.approx(30.0 + 8.0 + 10.0 + STARTS_S)


def test_the_reserve_falls_as_fast_engines_are_found() -> None:
    slow = trial("untouched", 1.0, untouched=True, p99_ms=50.0)
    fast = trial("int8", 9.0, p99_ms=5.0)
    batch = msgspec.structs.replace(fast, latency=msgspec.structs.replace(latency(5.0), batch=5))
    needs = [closing_s(1000, 100.0, known, 600.0) for known in ((), (slow,), (slow, fast))]
    assert needs == sorted(needs, reverse=True)
    assert closing_s(1000, 100.0, (slow, batch), 600.0) < needs[-1]  # five rows in that time

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Self

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.core.evidence import LayerTime, Verdict
from whet.core.spec import Arrays, Signature
from whet.errors import EngineError, OptionError
from whet.measure.load.arrivals import poisson_arrivals
from whet.measure.scenarios import (
    MultiStream,
    Offline,
    Outcome,
    Server,
    SingleStream,
    outcome_of,
    run_scenario,
)


class Sleeper:
    """A session that takes its time, one request at a time or several at once."""

    signature = Signature((), ())

    def __init__(self, seconds: float, *, alone: bool = False) -> None:
        self.seconds = seconds
        self._lock = threading.Lock() if alone else None

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
        if self._lock is not None:
            with self._lock:
                time.sleep(self.seconds)
        elif self.seconds:
            time.sleep(self.seconds)
        return {}

    def layers(self, inputs: Mapping[str, NDArray[np.generic]]) -> tuple[LayerTime, ...]:
        return ()

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None: ...


BATCH: list[Arrays] = [{"x": np.zeros((1, 2), np.float32)}]
EIGHT: list[Arrays] = [{"x": np.zeros((8, 2), np.float32)}]


@given(st.floats(0.5, 5000), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_arrivals_are_poisson(rate: float, seed: int) -> None:
    arrivals = poisson_arrivals(rate, 2000, seed)
    gaps = np.diff(arrivals, prepend=0.0)
    assert (gaps >= 0).all()
    # Mean and spread of exponential gaps are both 1 / rate, within six standard errors.
    assert gaps.mean() * rate == pytest.approx(1, abs=6 / math.sqrt(2000))
    assert gaps.std() * rate == pytest.approx(1, abs=12 / math.sqrt(2000))
    assert np.array_equal(arrivals, poisson_arrivals(rate, 2000, seed))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(OptionError, match="arrivals per second"):
        poisson_arrivals(rate, 3, 0)


def test_drops_and_errors_are_misses_and_rank_above_all() -> None:
    answered = np.full(990, 2.0)
    quiet = outcome_of(
        "Server", answered, rows_per_query=1, wall_s=10.0, limit_ms=5.0, percentile=99.0
    )
    assert (quiet.misses, quiet.verdict) == (0, Verdict.PASSED)
    lossy = outcome_of(
        "Server",
        answered,
        rows_per_query=1,
        wall_s=10.0,
        errors=30,
        dropped=20,
        limit_ms=5.0,
        percentile=99.0,
    )
    assert (lossy.queries, lossy.misses, lossy.verdict) == (1040, 50, Verdict.FAILED)
    assert lossy.throughput_per_s == pytest.approx(99.0)
    # 5 % went unanswered: p90 is known, p95 and p99 are not finite and not shown.
    assert [p.q for p in lossy.percentiles] == [50.0, 90.0, 95.0]
    assert lossy.percentiles[-1].high_ms is None
    assert msgspec.json.decode(msgspec.json.encode(lossy), type=Outcome) == lossy


def test_nothing_answered_is_an_outcome() -> None:
    lost = outcome_of(
        "Server",
        np.zeros(0),
        rows_per_query=1,
        wall_s=1.0,
        dropped=500,
        limit_ms=1.0,
        percentile=99.0,
    )
    assert (lost.misses, lost.max_ms, lost.verdict) == (500, 0.0, Verdict.FAILED)


def test_single_stream_asks_one_after_another() -> None:
    found = run_scenario(SingleStream(queries=60), Sleeper(0.002).run, BATCH, limit_ms=50.0)
    assert (found.scenario, found.queries) == ("SingleStream", 60)
    assert found.percentiles[0].value_ms >= 2.0
    assert found.verdict is Verdict.PASSED
    assert found.throughput_per_s < 500


def test_multi_stream_counts_rows() -> None:
    found = run_scenario(MultiStream(queries=10), Sleeper(0.002).run, EIGHT, rows=8)
    assert found.scenario == "MultiStream"
    assert found.verdict is None
    assert 8 * 50 < found.throughput_per_s < 8 * 500


def test_offline_runs_all_samples() -> None:
    session = Sleeper(0.0)
    found = run_scenario(Offline(samples=100), session.run, EIGHT, rows=8)
    assert found.queries == 13
    assert found.percentile is None


def test_server_latency_runs_from_the_scheduled_arrival() -> None:
    # Twice as many arrivals as can be answered: the wait grows, and the answers' own time is 5 ms.
    scenario = Server(rate_per_s=400, limit_ms=20, queries=60, give_up_ms=10_000, seed=1)
    found = run_scenario(scenario, Sleeper(0.005).run, BATCH)
    assert found.dropped == 0
    assert found.max_ms > 50
    assert found.misses > 10


def test_server_drops_what_waits_too_long() -> None:
    scenario = Server(rate_per_s=400, limit_ms=10, queries=60, give_up_ms=20, seed=1)
    found = run_scenario(scenario, Sleeper(0.005).run, BATCH)
    assert found.dropped > 0
    assert found.queries == 60
    assert found.misses >= found.dropped


@pytest.mark.parametrize(
    "error", [EngineError("It failed.", "Try again."), ValueError("It failed.")]
)
def test_server_counts_errors_and_goes_on(error: Exception) -> None:
    scenario = Server(rate_per_s=2000, limit_ms=1000, queries=50, workers=2, seed=2)

    class Failing(Sleeper):
        def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> Arrays:
            # The warm-up runs in the thread that measures; the workers have their own.
            if threading.current_thread() is not threading.main_thread():
                raise error
            return {}

    found = run_scenario(scenario, Failing(0.0).run, BATCH)
    assert found.errors == 50
    assert found.first_error == "It failed."
    assert found.throughput_per_s == 0


def test_workers_answer_at_once() -> None:
    slow = Server(rate_per_s=300, limit_ms=100, queries=60, workers=1, give_up_ms=1e6, seed=3)
    wide = Server(rate_per_s=300, limit_ms=100, queries=60, workers=4, give_up_ms=1e6, seed=3)
    assert (
        run_scenario(wide, Sleeper(0.006).run, BATCH).max_ms
        < run_scenario(slow, Sleeper(0.006).run, BATCH).max_ms
    )


def test_there_must_be_something_to_ask() -> None:
    with pytest.raises(OptionError, match="nothing to ask"):
        run_scenario(SingleStream(), Sleeper(0.0).run, [])


def test_the_askers_own_lateness_is_no_latency() -> None:
    """An engine that answers at once looks faster than a sleep alone would wake up."""
    scenario = Server(rate_per_s=200, limit_ms=20, queries=200, seed=4)
    outcome = run_scenario(scenario, Sleeper(0.0).run, BATCH)
    median = next(p for p in outcome.percentiles if p.q == 50.0)
    overslept = []
    for _ in range(100):
        due = time.perf_counter() + 0.003
        time.sleep(due - time.perf_counter())
        overslept.append((time.perf_counter() - due) * 1e3)
    assert median.value_ms < 0.5 * float(np.median(overslept))

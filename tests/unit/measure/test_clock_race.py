from __future__ import annotations

import msgspec
import pytest

from whet.data.store import SampleStore
from whet.errors import EngineError, MeasurementError, OptionError, StorageError, TrialTimeoutError
from whet.measure import clock
from whet.measure.clock import ClockPlan, race
from whet.measure.workload import order_of

PLAN = ClockPlan(restarts=2, rounds=3, queries_per_round=8, seconds=20.0, seed=4)


def test_a_slow_contender_is_ranked_slower_and_nothing_is_dropped(
    models, store: SampleStore
) -> None:
    told = []
    result = race(
        [models.matmul("fast"), models.slow("slow", trips=1000)],
        store.ref(),
        PLAN,
        on_round=lambda done, planned: told.append((done, planned)),
    )
    assert not result.failures
    assert told == [(i + 1, 6) for i in range(6)]
    ratio = result.ratio("slow", "fast")
    assert ratio.against == "slow"
    assert ratio.value > 3
    assert ratio.low < ratio.value < ratio.high
    assert result.ratio("fast", "slow").value == pytest.approx(1 / ratio.value)
    assert result.ratio("fast", "fast").value == 1.0
    for name in ("fast", "slow"):
        latency = result.latency[name]
        assert (latency.queries, latency.restarts) == (48, 2)
        assert sum(len(turn.ms) for restart in result.turns[name] for turn in restart) == 48
        assert latency.at(50) is not None
        assert latency.at(99) is None  # 48 queries say nothing of it
        assert latency.max_ms >= latency.mean_ms
        assert result.footprints[name].peak_bytes is not None


def test_failures_are_reported_and_the_race_goes_on(models, store: SampleStore) -> None:
    good = models.matmul("good")
    missing = msgspec.structs.replace(good, name="missing", engine="/nowhere/engine.onnx")
    endless = models.endless()
    plan = msgspec.structs.replace(PLAN, restarts=1, timeout_s=2.0)
    result = race([missing, good, endless], store.ref(), plan)
    assert set(result.latency) == {"good"}
    assert isinstance(result.failures["missing"], EngineError)
    assert isinstance(result.failures["endless"], TrialTimeoutError)
    with pytest.raises(MeasurementError, match="'missing' was not timed"):
        result.ratio("missing", "good")


def test_a_full_disk_is_held_against_nobody(
    models, store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StorageError("The disk is full.", "Free some space.")

    monkeypatch.setattr(clock.ContenderProcess, "timed", full)
    with pytest.raises(StorageError, match="full"):
        race([models.matmul()], store.ref(), PLAN)


def test_all_failing_is_a_result_too(models, store: SampleStore) -> None:
    bad = msgspec.structs.replace(models.matmul(), engine="/nowhere/engine.onnx")
    result = race([bad], store.ref(), PLAN)
    assert result.latency == {}
    assert set(result.failures) == {"one"}


def test_short_memory_runs_them_one_after_another(
    models, store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "available_memory", lambda: 0)
    result = race([models.matmul("a"), models.slow("b", trips=1000)], store.ref(), PLAN)
    assert any("Memory is too short" in note.reason for note in result.notes)
    assert result.latency["a"].queries == result.latency["b"].queries == 48
    assert result.ratio("b", "a").value > 3


def test_the_time_is_kept(models, store: SampleStore) -> None:
    plan = msgspec.structs.replace(PLAN, restarts=5, rounds=4, queries_per_round=10**6, seconds=3.0)
    result = race([models.matmul("a"), models.matmul("b", hidden=64)], store.ref(), plan)
    assert result.latency["a"].restarts >= 2
    total = sum(turn.wall_s for name in "ab" for restart in result.turns[name] for turn in restart)
    assert total < 3.5


def test_concurrent_callers_are_timed(models, store: SampleStore) -> None:
    plan = ClockPlan(restarts=1, rounds=2, queries_per_round=20, concurrency=2, batch=3)
    latency = race([models.matmul()], store.ref(), plan).latency["one"]
    assert (latency.batch, latency.concurrency, latency.queries) == (3, 2, 40)
    assert latency.throughput_per_s > 0


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_names_must_tell_them_apart(models, store: SampleStore, names: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match="no name twice"):
        race([models.matmul(name) for name in names], store.ref(), PLAN)


def test_a_plan_that_times_nothing_is_refused(models, store: SampleStore) -> None:
    with pytest.raises(OptionError, match="rounds=0"):
        race([models.matmul()], store.ref(), msgspec.structs.replace(PLAN, rounds=0))
    with pytest.raises(OptionError, match="time"):
        race([models.matmul()], store.ref(), msgspec.structs.replace(PLAN, seconds=float("nan")))


def test_contenders_see_the_same_inputs() -> None:
    """The order within a turn depends on the seed of the round alone."""
    assert order_of(7, 20, 4_000_001) == order_of(7, 20, 4_000_001)
    assert sorted(order_of(7, 20, 1)[:7]) == list(range(7))
    assert len(order_of(7, 10**9, 1)) < 5000

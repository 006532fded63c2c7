"""The scheduler under load that no clock drives: who is answered, when, with whom, by what."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served_load import Arrival, Load, poisson, replayed

from whet.serve.scheduler.rules import Choice
from whet.serve.scheduler.scheduler import Policy, Scheduler
from whet.serve.scheduler.times import Times
from whet.serve.scheduler.waiting import Waiting

LIMIT_S = 0.1
Takes = Callable[[int, int], float]


def gains(_: int, rows: int) -> float:
    """A model that gains from batches: 5 ms, and 0.5 ms for each row."""
    return 0.005 + 0.0005 * rows


def no_gain(_: int, rows: int) -> float:
    return 0.004 * rows


def family(choice: int, rows: int) -> float:
    """Three variants, each three times as fast as the one before; batches gain nothing."""
    return 0.009 / 3**choice * rows


def scheduler(takes: Takes, *, variants: int = 1, most: int = 32, workers: int = 1) -> Scheduler:
    choices = [
        Choice(str(k), Times({1: takes(k, 1)}), most if takes is gains else 1)
        for k in range(variants)
    ]
    return Scheduler(choices, workers=workers, policy=Policy(margin_s=0.001))


def run(takes: Takes, arrivals: list[Arrival], **options: int) -> Load:
    return replayed(scheduler(takes, **options), arrivals, takes)


def goodput(
    takes: Takes, rate: float, *, seconds: float = 8.0, burst: int = 1, **options: int
) -> float:
    arrivals = poisson(rate, seconds, LIMIT_S, burst=burst)
    return run(takes, arrivals, **options).in_time(arrivals) / seconds


def test_every_request_ends_in_one_way() -> None:
    arrivals = poisson(3000, 2, LIMIT_S)
    load = run(gains, arrivals)
    ends = [set(load.ended_s), load.refused, load.late]
    assert set.union(*ends) == set(range(len(arrivals)))
    assert sum(map(len, ends)) == len(arrivals)


@pytest.mark.parametrize("burst", [1, 16])
@pytest.mark.parametrize("takes", [gains, no_gain])
def test_overload_costs_little_and_what_is_admitted_is_in_time(takes: Takes, burst: int) -> None:
    peak = 32 / gains(0, 32) if takes is gains else 1 / no_gain(0, 1)
    arrivals = poisson(2 * peak, 5, LIMIT_S, burst=burst)
    load = run(takes, arrivals)
    admitted = len(arrivals) - len(load.refused)
    assert load.in_time(arrivals) >= 0.99 * admitted
    assert load.in_time(arrivals) / 5 >= 0.9 * peak


def test_batches_bring_three_times_the_goodput() -> None:
    """At a rate that single requests can't keep."""
    rate = 0.9 * 32 / gains(0, 32)
    assert goodput(gains, rate) > 3 * goodput(gains, rate, most=1)


def test_a_lone_request_never_waits() -> None:
    arrivals = [Arrival(t, t + LIMIT_S) for t in np.arange(0, 2, 0.05).tolist()]
    waits = run(gains, arrivals).waits_s(arrivals)
    assert waits.max() == pytest.approx(gains(0, 1))


def test_at_low_load_batching_costs_nothing() -> None:
    arrivals = poisson(30, 20, LIMIT_S)
    together, single = run(gains, arrivals), run(gains, arrivals, most=1)
    assert together.waits_s(arrivals).mean() <= 1.02 * single.waits_s(arrivals).mean()


def test_overload_costs_accuracy_before_it_costs_answers() -> None:
    rate = 1.8 / family(0, 1)
    arrivals = poisson(rate, 10, LIMIT_S)
    load = run(family, arrivals, variants=3)
    alone = run(family, arrivals, variants=1)
    assert load.in_time(arrivals) >= 1.5 * alone.in_time(arrivals)
    assert load.in_time(arrivals) >= 0.99 * len(arrivals)
    share = np.bincount(list(load.by.values()), minlength=3) / len(load.by)
    assert share[0] > 0.2  # and no more accuracy than it has to


def test_without_load_the_most_accurate_answers() -> None:
    arrivals = [Arrival(t, t + LIMIT_S) for t in np.arange(0, 2, 0.05).tolist()]
    assert set(run(family, arrivals, variants=3).by.values()) == {0}


def test_a_deadline_that_only_the_fastest_keeps_gets_the_fastest() -> None:
    arrivals = [Arrival(0.0, 0.0025)]
    assert run(family, arrivals, variants=3).by == {0: 2}


def test_what_can_not_be_in_time_is_refused_at_once() -> None:
    arrivals = [Arrival(0.0, 0.0005), Arrival(0.0, 1.0)]
    load = run(no_gain, arrivals)
    assert load.refused == {0}
    assert set(load.ended_s) == {1}


def test_a_refusal_says_when_to_come_again() -> None:
    own = scheduler(no_gain)
    for number in range(25):
        own.admit(Waiting(0.0, number, 1, "", 0.0, math.inf), 1, 0.0)
    refusal = own.admit(Waiting(0.0, 99, 1, "", 0.0, 0.05), 1, 0.0)
    assert refusal is not None
    assert not refusal.full
    assert refusal.retry_after_s == pytest.approx(26 * 0.004 + 0.001 - 0.05)


def test_the_important_overtake_and_nobody_starves() -> None:
    """Twice the load, nearly all of it important; deadlines are far."""
    rate = 2 / no_gain(0, 1)
    arrivals = [
        Arrival(a.at_s, a.at_s + 60, level=8 if k % 20 == 0 else 0)
        for k, a in enumerate(poisson(rate, 4, 60.0))
    ]
    load = run(no_gain, arrivals)
    waits = {k: load.ended_s[k] - arrivals[k].at_s for k in load.ended_s}
    less = [k for k in waits if arrivals[k].level]
    behind = [waits[k] - waits[k - 1] for k in less if k - 1 in waits]
    assert 0 < np.median(behind) < 8 * 0.05 * 3  # a bounded time, however long the line
    assert len(load.ended_s) == len(arrivals)


def test_kinds_never_mix_and_rows_never_exceed_the_most() -> None:
    random = np.random.default_rng(1)
    arrivals = [
        Arrival(a.at_s, a.deadline_s, rows=int(random.integers(1, 9)), kind="ab"[k % 2])
        for k, a in enumerate(poisson(900, 3, 0.4))
    ]
    load = run(gains, arrivals)
    assert max(len(batch.requests) for batch in load.batches) > 2
    for batch in load.batches:
        assert len({request.kind for request in batch.requests}) == 1
        assert batch.rows == sum(r.rows for r in batch.requests)
        assert batch.rows <= 32 or len(batch.requests) == 1


def test_a_request_larger_than_a_batch_runs_by_itself() -> None:
    arrivals = [Arrival(0.0, 1.0), Arrival(0.0001, 1.0, rows=100), Arrival(0.0002, 1.0)]
    load = run(gains, arrivals, most=8)
    assert [[r.number for r in batch.requests] for batch in load.batches] == [[0], [1], [2]]


def test_members_of_a_batch_that_failed_run_alone_once() -> None:
    arrivals = [Arrival(0.0, 1.0) for _ in range(9)]
    own = scheduler(gains)
    for rows in (2, 4, 8):
        own.choices[0].times.told(rows, gains(0, rows))
    load = replayed(own, arrivals, gains, fails=lambda b: len(b.requests) > 1)
    assert sorted(load.ended_s) == list(range(9))
    assert max(len(batch.requests) for batch in load.batches) > 1


def test_two_workers_do_twice_as_much() -> None:
    rate = 1.9 / no_gain(0, 1)
    assert goodput(no_gain, rate, workers=2) > 1.7 * goodput(no_gain, rate)


def test_batches_are_filled_up_only_to_sizes_that_are_seen_to_be_faster() -> None:
    """An engine that is made for eights."""

    def eights(_: int, rows: int) -> float:
        return 0.004 if rows % 8 == 0 else 0.004 + 0.001 * rows

    own = Scheduler([Choice("", Times({k: eights(0, k) for k in range(1, 9)}), 8)])
    arrivals = [Arrival(0.0, 1.0, rows=3), Arrival(0.1, 1.0, rows=5), Arrival(0.2, 1.0, rows=8)]
    load = replayed(own, arrivals, eights)
    assert [(batch.rows, batch.filled) for batch in load.batches] == [(3, 8), (5, 8), (8, 8)]
    plain = run(gains, arrivals)
    assert all(batch.rows == batch.filled for batch in plain.batches)


def test_a_variant_that_becomes_slow_is_found_out() -> None:
    """An engine that takes ten times what the bundle says."""
    own = Scheduler([Choice("", Times({1: 0.001}), 1)], policy=Policy(margin_s=0.001))
    arrivals = poisson(80, 10, 0.05)
    load = replayed(own, arrivals, lambda _, rows: 0.01 * rows)
    admitted = len(arrivals) - len(load.refused) - len(load.late)
    assert load.in_time(arrivals) >= 0.98 * admitted


def test_an_idle_scheduler_asks_not_to_be_woken() -> None:
    own = scheduler(gains)
    step = own.step(0.0)
    assert (step.run, step.late, step.wake_s) == ((), (), None)
    assert own.idle


def test_a_withdrawn_request_is_forgotten() -> None:
    own = scheduler(no_gain)
    for number in range(3):
        own.admit(Waiting(0.0, number, 1, "", 0.0, 1.0), 1, 0.0)
    (batch,) = own.step(0.0).run
    assert not own.withdraw(batch.requests[0].number)
    assert own.withdraw(2)
    assert not own.withdraw(2)
    assert own.waiting_rows == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 0.05), st.floats(0.001, 0.5), st.integers(1, 40), st.integers(0, 3),
            st.sampled_from("ab"),
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 3),
    st.integers(1, 3),
)  # fmt: skip
def test_nothing_is_lost_nothing_is_answered_twice(
    drawn: list[tuple[float, float, int, int, str]], variants: int, workers: int
) -> None:
    at, arrivals = 0.0, []
    for gap, limit, rows, level, kind in drawn:
        at += gap
        arrivals.append(Arrival(at, at + limit, rows, level, kind))
    own = scheduler(gains, variants=variants, workers=workers)
    load = replayed(own, arrivals, gains)
    ends = [set(load.ended_s), load.refused, load.late]
    assert set.union(*ends) == set(range(len(arrivals)))
    assert sum(map(len, ends)) == len(arrivals)
    assert own.idle
    assert load.steps < 20 * len(arrivals)

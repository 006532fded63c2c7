from __future__ import annotations

import time
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.measure.statistics import paired_proportions
from whet.search.solver.calibrate import temperature_of
from whet.search.solver.cascade import Plan, Staged, frontier_of, plans_within

MS = (1.0, 2.0, 3.0)
LAST_MS = 6.0


def best_plan(*args: Any, **options: Any) -> Plan | None:
    found = plans_within(*args, **options)
    means = [plan.mean_ms for plan in found]
    assert means == sorted(means, reverse=True)
    return found[-1] if found else None


def population(seed: int, n: int, stages: int = 2) -> tuple[list[Staged], np.ndarray]:
    """Stages that are right the more often the surer they are, and the better the slower."""
    rng = np.random.default_rng(seed)
    last = rng.random(n) < 0.95
    hard = rng.random(n)
    found = []
    for k in range(stages):
        confidence = np.clip(1 - hard * (1 - k / 4) + rng.normal(0, 0.1, n), 0, 1)
        right = rng.random(n) < np.clip(confidence + 0.1, 0, 1)
        found.append(Staged(f"s{k}", MS[k], np.where(confidence > 0.7, last, right), confidence))
    return found, last


def run(plan: Plan, stages: list[Staged], last: np.ndarray) -> tuple[np.ndarray, float]:
    """Row by row: whether the answer is right, and the mean in ms."""
    right, spent = [], 0.0
    for row in range(len(last)):
        answer = None
        for place, threshold in zip(plan.stages, plan.thresholds, strict=True):
            spent += stages[place].ms
            if stages[place].confidence[row] >= threshold:
                answer = stages[place].right[row]
                break
        if answer is None:
            spent += LAST_MS
            answer = last[row]
        right.append(bool(answer))
    return np.array(right), spent / len(last)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(5, 60))
def test_figures_are_those_of_running_row_by_row(seed: int, n: int) -> None:
    stages, last = population(seed, n)
    for plan in frontier_of(stages, last, LAST_MS):
        right, mean = run(plan, stages, last)
        assert plan.mean_ms == pytest.approx(mean)
        lost, gained = (last & ~right).sum(), (right & ~last).sum()
        assert plan.damage == pytest.approx(lost - gained + 1.645 * np.sqrt(lost + gained + 1))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(5, 25))
def test_no_plan_over_the_thresholds_beats_the_frontier(seed: int, n: int) -> None:
    stages, last = population(seed, n)
    kept = frontier_of(stages, last, LAST_MS)
    every = [((k,), (t,)) for k in range(2) for t in stages[k].confidence]
    for a, b in permutations(range(2), 2):
        if stages[a].ms < stages[b].ms:
            pairs = [(x, y) for x in stages[a].confidence for y in stages[b].confidence]
            every += [((a, b), pair) for pair in pairs]
    for places, thresholds in every:
        right, mean = run(Plan(places, thresholds, 0, 0), stages, last)
        lost, gained = (last & ~right).sum(), (right & ~last).sum()
        damage = lost - gained + 1.645 * np.sqrt(lost + gained + 1)
        assert any(p.mean_ms <= mean + 1e-9 and p.damage <= damage + 1e-9 for p in kept)


def halves(n: int) -> np.ndarray:
    return np.arange(n) % 2 == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.001, 0.1))
def test_the_bound_keeps_what_is_allowed_on_samples_that_chose_nothing(
    seed: int, allowed: float
) -> None:
    stages, last = population(seed, 2000)
    check = ~halves(2000)
    plan = best_plan(
        [stages], last, LAST_MS, halves(2000), allowed=allowed, confidence=0.95, below_ms=4.0
    )
    if plan is None:
        return
    right, _ = run(plan, stages, last)
    lost, gained = (last & ~right)[check].sum(), (right & ~last)[check].sum()
    bounds = paired_proportions(int(lost), int(gained), 1000, 0.95)
    assert plan.bounds == bounds
    assert bounds.upper <= allowed
    assert plan.mean_ms < 4.0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.lists(st.floats(0.001, 0.2), min_size=2, max_size=5))
def test_a_lower_floor_never_makes_it_slower(seed: int, drops: list[float]) -> None:
    stages, last = population(seed, 1500)
    means = []
    for allowed in sorted(drops):
        plan = best_plan(
            [stages], last, LAST_MS, halves(1500), allowed=allowed, confidence=0.95, below_ms=5.0
        )
        means.append(float("inf") if plan is None else plan.mean_ms)
    assert means == sorted(means, reverse=True)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.5, 6.0))
def test_what_is_no_quicker_than_the_best_engine_is_not_proposed(seed: int, below: float) -> None:
    stages, last = population(seed, 1000)
    plan = best_plan(
        [stages], last, LAST_MS, halves(1000), allowed=0.5, confidence=0.95, below_ms=below
    )
    assert plan is None or plan.mean_ms < below
    if below <= MS[0]:
        assert plan is None


def test_three_stages_where_they_pay_and_the_better_measure() -> None:
    hard = np.random.default_rng(1).random(6000)
    last = np.ones(6000, np.bool_)
    stages = [Staged(f"s{k}", MS[k], hard < (0.5, 0.9)[k], 1 - hard) for k in range(2)]
    useless = [Staged(s.name, s.ms, s.right, np.zeros(6000)) for s in stages]
    plan = best_plan(
        [useless, stages],
        last,
        LAST_MS,
        halves(6000),
        allowed=0.02,
        confidence=0.95,
        below_ms=LAST_MS,
    )
    assert plan is not None
    assert plan.measure == 1
    assert plan.stages == (0, 1)
    assert plan.mean_ms == pytest.approx(1 + 0.5 * 2 + 0.1 * LAST_MS, rel=0.1)


def test_a_batch_pays_for_a_stage_as_soon_as_one_row_gets_there() -> None:
    stages, last = population(2, 400, stages=1)
    single, batched = (frontier_of(stages, last, LAST_MS, batch=b)[0] for b in (1, 8))
    go_on = (stages[0].confidence < single.thresholds[0]).mean()
    assert single.mean_ms == pytest.approx(1 + LAST_MS * go_on)
    go_on = (stages[0].confidence < batched.thresholds[0]).mean()
    assert batched.mean_ms == pytest.approx(1 + LAST_MS * (1 - (1 - go_on) ** 8))


def test_few_samples_propose_nothing() -> None:
    stages, last = population(3, 40)
    args = {"allowed": 0.01, "confidence": 0.95, "below_ms": 5.0}
    assert best_plan([stages], last, LAST_MS, halves(40), **args) is None
    assert frontier_of(stages, last[:0], LAST_MS) == []


def test_thousands_of_samples_and_six_stages_take_seconds() -> None:
    rng = np.random.default_rng(0)
    stages, last = population(4, 8000, stages=3)
    more = [
        Staged(f"m{k}", 1.5 + k / 10, s.right, np.clip(s.confidence + rng.normal(0, 0.02), 0, 1))
        for k, s in enumerate(stages)
    ]
    begin = time.perf_counter()
    best_plan(
        [stages + more] * 2,
        last,
        LAST_MS,
        halves(8000),
        allowed=0.01,
        confidence=0.95,
        below_ms=LAST_MS,
    )
    assert time.perf_counter() - begin < 10


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_is_found(true: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = (chances.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert temperature_of(logits * true, classes) == pytest.approx(true, rel=0.05)
    assert temperature_of(chances, classes, shares=True) == pytest.approx(1, rel=0.05)


def test_a_temperature_of_nothing_is_one() -> None:
    assert temperature_of(np.full((3, 2), np.nan), np.zeros(3, np.int64)) == 1.0

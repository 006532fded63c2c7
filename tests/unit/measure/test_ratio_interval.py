from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.measure.statistics import median_ratio_interval


def test_ratio_of_a_contender_twice_as_fast() -> None:
    value, low, high = median_ratio_interval([[10.0] * 4] * 3, [[5.0] * 4] * 3)
    assert value == pytest.approx(2.0)
    assert (low, high) == pytest.approx((2.0, 2.0), rel=0.04)
    assert low < 2 < high  # that three restarts agree doesn't prove that all would


@given(
    st.lists(st.lists(st.floats(0.1, 100), min_size=3, max_size=3), min_size=2, max_size=5),
    st.randoms(use_true_random=False),
)
@settings(max_examples=40)
def test_interval_encloses_and_mirrors(rounds: list[list[float]], random: object) -> None:
    other = [[1.0] * 3 for _ in rounds]
    value, low, high = median_ratio_interval(rounds, other)
    assert low <= value * (1 + 1e-9)
    assert value <= high * (1 + 1e-9)
    back, _, _ = median_ratio_interval(other, rounds)
    assert back == pytest.approx(1 / value)


def test_a_single_restart_or_round_is_allowed() -> None:
    for baseline, contender in (
        ([[2.0]], [[1.0]]),
        ([[2.0, 2.2, 1.9]], [[1.0, 1.0, 1.0]]),
        ([[2.0], [2.2]], [[1.0], [1.0]]),
    ):
        value, low, high = median_ratio_interval(baseline, contender)
        assert low < value < high
    _, low, high = median_ratio_interval([[2.0]], [[1.0]])
    assert low < 2 / 1.15  # one restart says little
    assert high > 2 * 1.15


def test_two_restarts_still_decide_a_tenth() -> None:
    rng = np.random.default_rng(0)
    decided = 0
    for seed in range(60):
        logs = 0.01 * rng.normal(size=(2, 1)) + 0.01 * rng.normal(size=(2, 5)) + np.log(1.1)
        _, low, _ = median_ratio_interval(np.exp(logs).tolist(), [[1.0] * 5] * 2, seed=seed)
        decided += low > 1
    assert decided >= 54


SLOW = pytest.mark.slow


@pytest.mark.parametrize("restarts", [2, 3, 5])
@pytest.mark.parametrize(
    ("rounds", "between", "within", "repeats", "least"),
    [
        (10, 0.03, 0.005, 100, 0.92),
        (5, 0.005, 0.02, 50, 0.94),
        pytest.param(10, 0.0, 0.02, 400, 0.94, marks=SLOW),
        pytest.param(10, 0.02, 0.02, 400, 0.94, marks=SLOW),
        pytest.param(10, 0.02, 0.005, 400, 0.94, marks=SLOW),
        pytest.param(5, 0.05, 0.005, 400, 0.92, marks=SLOW),
    ],
)
def test_interval_covers(
    restarts: int, rounds: int, between: float, within: float, repeats: int, least: float
) -> None:
    rng = np.random.default_rng(0)
    ones = np.ones((restarts, rounds)).tolist()
    hits = 0
    for seed in range(repeats):
        logs = between * rng.normal(size=(restarts, 1)) + within * rng.normal(
            size=(restarts, rounds)
        )
        _, low, high = median_ratio_interval(np.exp(logs).tolist(), ones, seed=seed)
        hits += low <= 1 <= high
    assert hits / repeats >= least

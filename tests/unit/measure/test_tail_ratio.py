from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.measure.statistics import tail_ratio_interval

Turned = list[list[NDArray[np.float64]]]


def restless(rng: np.random.Generator, mood: NDArray[np.float64], factor: float = 1.0) -> Turned:
    """5 restarts of 10 turns of 30 queries; how often one is late differs from turn to turn."""
    own = np.exp(0.05 * rng.normal(size=(5, 1, 1)) + mood)
    rate = 0.02 * np.exp(rng.normal(size=(5, 10, 1)) - 0.5)
    late = (rng.random((5, 10, 30)) < rate) * rng.exponential(0.5, (5, 10, 30))
    ms = factor * own * (1 + 0.05 * np.abs(rng.normal(size=(5, 10, 30))) + late)
    return [list(restart) for restart in ms]


def slow_share(factor: float, repeats: int) -> tuple[float, float]:
    """How often it is called slower: by its interval, and by a point that is a tenth off."""
    rng = np.random.default_rng(1)
    by_interval = by_point = 0
    for seed in range(repeats):
        mood = 0.1 * rng.normal(size=(5, 10, 1))
        value, _, high = tail_ratio_interval(
            restless(rng, mood), restless(rng, mood, factor), 99.0, seed=seed
        )
        by_point += value < 1 / 1.1
        by_interval += value < 1 / 1.1 and high < 1
    return by_interval / repeats, by_point / repeats


def test_equal_engines_are_rarely_called_slower() -> None:
    by_interval, by_point = slow_share(1.0, 50)
    assert by_interval <= 0.09
    assert by_point >= 0.10


def test_twice_as_slow_is_always_seen() -> None:
    assert slow_share(2.0, 15) == (1.0, 1.0)


@given(st.floats(0.1, 10), st.sampled_from([50.0, 90.0, 99.0]), st.integers(1, 4))
@settings(max_examples=15)
def test_a_constant_factor_is_found_exactly(factor: float, q: float, restarts: int) -> None:
    rng = np.random.default_rng(0)
    slow = [[rng.exponential(size=20) for _ in range(3)] for _ in range(restarts)]
    fast = [[ms / factor for ms in restart] for restart in slow]
    found = tail_ratio_interval(slow, fast, q)
    assert found == pytest.approx((factor, factor, factor))


def test_the_value_is_the_ratio_of_the_percentiles_of_all_queries() -> None:
    rng = np.random.default_rng(2)
    one, other = ([[rng.exponential(size=50) for _ in range(4)] for _ in range(3)] for _ in "ab")
    value, low, high = tail_ratio_interval(one, other, 90.0)
    pooled = [np.sort(np.concatenate([ms for r in of for ms in r]))[539] for of in (one, other)]
    assert value == pytest.approx(pooled[0] / pooled[1])
    assert low <= value <= high


def test_turns_of_unequal_length_and_a_restart_cut_short_are_taken_as_they_are() -> None:
    turns = [[np.ones(5), np.ones(9)], [np.ones(2)], []]
    assert tail_ratio_interval(turns, turns, 90.0) == pytest.approx((1.0, 1.0, 1.0))

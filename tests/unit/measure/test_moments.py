"""Bounds of many means at once, and of means whose yardstick is an estimate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.measure.statistics import Limits, Moments, RatioMoments, mean_bounds

Floats = NDArray[np.float64]


def ratio(losses: Floats, shares: Floats, allowed: float) -> Limits:
    moments = RatioMoments(losses.shape[1], allowed)
    for part in (slice(0, 17), slice(17, None)):
        moments.see(losses[part].copy(), shares[part].copy())
    return moments.limits(0.95)


def at(u: float, losses: Floats, shares: Floats) -> float:
    return mean_bounds(losses - u * shares, 0.95).upper


@given(st.integers(2, 80), st.integers(0, 99), st.floats(-1e6, 1e6))
@settings(max_examples=30)
def test_the_bounds_are_those_of_each_mean_alone(n: int, seed: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    losses = rng.exponential(size=(n, 5)) * [1, 10, 0, 1, 1] + [0, 0, 3, offset, 0]
    moments = Moments(5)
    for part in (slice(0, 1), slice(1, None)):
        moments.see(losses[part].copy())
    limits = moments.limits(0.95)
    for j, column in enumerate(losses.T):
        alone = mean_bounds(column, 0.95)
        assert limits.mean[j] == pytest.approx(alone.drop, rel=1e-9)
        assert limits.upper[j] == pytest.approx(alone.upper, rel=1e-6, abs=1e-6)
        assert limits.lower[j] == pytest.approx(alone.lower, rel=1e-6, abs=1e-6)


def test_more_numbers_than_are_looked_at_together() -> None:
    losses = np.random.default_rng(0).exponential(size=(40, 70_000))
    moments = Moments(70_000)
    moments.see(losses.copy())
    limits = moments.limits(0.95)
    for j in (0, 32_767, 32_768, 69_999):
        assert limits.upper[j] == pytest.approx(mean_bounds(losses[:, j], 0.95).upper)


def test_of_a_single_sample_the_bounds_are_what_it_lost() -> None:
    moments = Moments(2)
    moments.see(np.array([[0.1, 0.3]]))
    limits = moments.limits(0.95)
    bounds, number = limits.deciding(0.01)
    assert (bounds.lower, bounds.upper, number) == (0.3, 0.3, 1)


@given(st.floats(0.001, 0.03), st.integers(0, 999))
@settings(max_examples=60)
def test_it_is_within_what_is_allowed_exactly_where_the_bound_at_the_edge_is(
    size: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    losses = size * rng.exponential(size=(200, 1))
    shares = rng.exponential(size=(200, 1))
    shares = shares / shares.mean() - 1
    found = ratio(losses, shares, 0.01)
    edge = at(0.01, losses[:, 0], shares[:, 0])
    assert (found.upper[0] <= 0.01) == (edge <= 0.01)
    # Never below the bound that it stands for: the u that is its own bound.
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        bound = at(middle, losses[:, 0], shares[:, 0])
        low, high = (middle, high) if bound > middle else (low, middle)
    if edge <= 0.01:
        assert found.upper[0] >= high - 1e-9
    assert found.lower[0] <= found.mean[0] <= found.upper[0] + 1e-12


def test_what_loses_nothing_is_bounded_by_nothing() -> None:
    shares = np.random.default_rng(0).normal(size=(100, 3))
    found = ratio(np.zeros((100, 3)), shares - shares.mean(axis=0), 0.01)
    assert not found.upper.any()
    assert not found.mean.any()

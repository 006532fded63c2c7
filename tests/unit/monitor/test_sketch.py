"""Distributions in few numbers: what quantiles and counts they still know."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.monitor.sketch import Sketch

VALUES = st.floats(1e-6, 1e3)


def sketch_of(values: list[float]) -> Sketch:
    found = Sketch()
    for value in values:
        found.add(value)
    return found


@given(st.lists(VALUES, min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_near_the_value_of_its_rank(values: list[float], q: float) -> None:
    found = sketch_of(values)
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    factor = 2 ** (0.5 * 2.0**-found.schema) * (1 + 1e-9)
    assert exact / factor <= found.quantile(q) <= exact * factor


@given(st.lists(VALUES), st.integers(-14, 9))
def test_counts_up_to_a_power_of_two_are_exact(values: list[float], power: int) -> None:
    found = sketch_of(values)
    assert found.up_to(power) == sum(value <= 2.0**power for value in values)
    assert found.count == len(values)
    assert found.total == pytest.approx(sum(values))


@given(st.lists(VALUES, min_size=1))
def test_each_value_lies_in_its_bucket(values: list[float]) -> None:
    found = sketch_of(values)
    (first, _), *_, (last, _) = [*found.buckets(), *found.buckets()]
    assert found.bound(first - 1) < min(values) * (1 + 1e-12)
    assert max(values) <= found.bound(last) * (1 + 1e-12)
    assert sum(n for _, n in found.buckets()) == len(values)


def test_many_magnitudes_cost_resolution_and_not_memory() -> None:
    values = np.geomspace(1e-9, 1e9, 5000).tolist()
    found = sketch_of(values)
    assert len(list(found.buckets())) <= 160
    assert 0 <= found.schema < 3
    assert found.quantile(0.5) == pytest.approx(1.0, rel=0.5)


def test_what_is_not_positive_counts_as_zero() -> None:
    found = sketch_of([0.0, -1e-9, 2.0])
    assert (found.zeros, found.count, found.total) == (2, 3, 2.0)
    assert found.quantile(0.5) == 0.0
    assert found.up_to(0) == 2


def test_of_nothing_nothing_is_known() -> None:
    assert math.isnan(Sketch().quantile(0.5))
    assert list(Sketch().buckets()) == []

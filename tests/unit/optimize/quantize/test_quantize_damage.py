from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.graph.quantize.damage import Damage, divergence, measure, squared_error


def test_squared_error_is_a_share_of_the_variance() -> None:
    reference = np.array([[0.0], [2.0]])
    assert squared_error(reference, reference + np.array([[1.0], [0.0]])) == pytest.approx(0.5)


def test_a_part_that_all_rows_share_hides_nothing() -> None:
    rng = np.random.default_rng(0)
    reference, noise = rng.normal(size=(20, 5)), 0.1 * rng.normal(size=(20, 5))
    near = squared_error(reference, reference + noise)
    assert squared_error(reference + 1000, reference + 1000 + noise) == pytest.approx(near)


def test_a_constant_reference_is_compared_with_its_size() -> None:
    reference = np.full((3, 2), 10.0)
    assert squared_error(reference, reference) == 0
    assert squared_error(reference, reference * 1.1) == pytest.approx(0.01)
    assert squared_error(np.zeros((2, 2)), np.ones((2, 2))) == float("inf")


def test_nan_is_infinite_damage() -> None:
    reference = np.array([[1.0, 2.0], [0.0, 1.0]])
    broken = np.array([[np.nan, 2.0], [0.0, 1.0]])
    assert squared_error(reference, broken) == divergence(reference, broken) == float("inf")


def test_divergence_by_hand() -> None:
    reference, got = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    assert divergence(reference, got) == pytest.approx(expected)


@given(st.integers(0, 2**31), st.floats(-50, 50))
def test_divergence_ignores_a_shift_and_is_never_negative(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    reference, got = rng.normal(size=(4, 6)), rng.normal(size=(4, 6))
    assert divergence(reference, got) >= 0
    assert divergence(reference, got + shift) == pytest.approx(divergence(reference, got))


def test_rows_of_unequal_length_are_compared_value_by_value() -> None:
    reference = [{"y": np.ones((1, n, 2), np.float32) * n} for n in (1, 3)]
    got = [{"y": row["y"] + 1} for row in reference]
    values = np.array([1, 1] + [3] * 6, dtype=float)
    expected = 8 / np.sum((values - values.mean()) ** 2)
    assert measure(Damage.SQUARED, reference, got) == pytest.approx(expected)

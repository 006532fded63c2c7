from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.graph.quantize.damage import MOST, Damage, measure


def rows(values: np.ndarray) -> list[dict[str, np.ndarray]]:
    return [{"y": row[None]} for row in values]


def squared_error(reference: np.ndarray, got: np.ndarray) -> float:
    return measure(Damage.SQUARED, rows(reference), rows(got))


def divergence(reference: np.ndarray, got: np.ndarray) -> float:
    return measure(Damage.DIVERGENCE, rows(reference), rows(got))


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


def test_outputs_that_are_zero_are_ranked_by_their_error() -> None:
    zero = np.zeros((2, 2))
    assert squared_error(zero, zero) == 0
    assert squared_error(zero, zero + 0.1) == pytest.approx(0.01)


def test_an_output_that_is_zero_leaves_the_figure_to_the_others() -> None:
    want = [{"y": np.array([[x]]), "dead": np.zeros((1, 4))} for x in (0.0, 2.0)]
    have = [{"y": np.array([[x]]), "dead": np.ones((1, 4))} for x in (1.0, 2.0)]
    assert measure(Damage.SQUARED, want, have) == pytest.approx(0.5)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_the_most_damage(broken: float) -> None:
    reference = np.array([[1.0, 2.0], [0.0, 1.0]])
    got = np.array([[broken, 2.0], [0.0, 1.0]])
    assert squared_error(reference, got) == divergence(reference, got) == MOST


@pytest.mark.parametrize("kind", list(Damage))
@pytest.mark.parametrize("name", ["y", "dead"])
def test_one_output_that_is_no_number_is_the_most_damage_of_all(kind: Damage, name: str) -> None:
    want = [{"y": np.array([[x, 1.0]]), "dead": np.zeros((1, 4))} for x in (0.0, 2.0)]
    have = [{key: value + 0.01 for key, value in row.items()} for row in want]
    assert measure(kind, want, have) < 0.01
    have[1][name][0, 0] = math.nan
    assert measure(kind, want, have) == MOST


@pytest.mark.parametrize("instead", [-math.inf, math.nan, -40.0])
def test_what_the_original_masks_is_left_out(instead: float) -> None:
    rng = np.random.default_rng(1)
    reference, got = rng.normal(size=(9, 4)), rng.normal(size=(9, 4))
    masked = np.column_stack([reference, np.full(9, -np.inf)])
    other = np.column_stack([got, np.full(9, instead)])
    assert squared_error(masked, other) == pytest.approx(squared_error(reference, got))
    assert divergence(masked, other) == pytest.approx(divergence(reference, got))


@pytest.mark.parametrize("mask", [np.finfo(np.float32).min, -1e9, -1e4])
def test_a_mask_that_is_a_large_number_hides_nothing(mask: float) -> None:
    rng = np.random.default_rng(1)
    reference, got = rng.normal(size=(9, 4)), rng.normal(size=(9, 4))
    reference[::2, 0] = got[::2, 0] = mask
    infinite = np.where(reference == mask, -np.inf, reference)
    assert squared_error(reference, got) == pytest.approx(squared_error(infinite, got))
    assert squared_error(reference, got) > 0.5


def test_a_number_in_a_large_unit_hides_no_other() -> None:
    rng = np.random.default_rng(2)
    reference = np.concatenate([rng.uniform(0, 640, (50, 4)), rng.random((50, 2))], axis=1)
    got = np.concatenate([reference[:, :4], rng.random((50, 2))], axis=1)
    assert squared_error(reference, got) == pytest.approx(1, rel=0.3), (
        "2 of one unit, 0 of the other"
    )


def test_rows_that_are_masked_as_a_whole_cost_nothing() -> None:
    masked = np.full((3, 4), -np.inf)
    assert squared_error(masked, masked) == divergence(masked, masked) == 0


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

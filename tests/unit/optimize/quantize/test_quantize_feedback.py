"""Rounding with error feedback: on the grid, and better than each number for itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.graph.quantize.feedback import (
    MOST,
    nearest,
    output_error,
    rounded,
    scales_of,
)


def drawn(seed: int, outputs: int, inputs: int, alike: float) -> tuple[np.ndarray, np.ndarray]:
    """A weight, and moments of inputs that share a part with each other."""
    generator = np.random.default_rng(seed)
    common = generator.standard_normal((2000, 1))
    x = alike * common + (1 - alike) * generator.standard_normal((2000, inputs))
    return generator.standard_normal((outputs, inputs)), x.T @ x / len(x)


@given(
    seed=st.integers(0, 10_000),
    outputs=st.integers(1, 9),
    inputs=st.integers(1, 150),
    alike=st.floats(0, 0.9),
)
def test_what_comes_out_is_on_the_grid_that_a_quantiser_finds(
    seed: int, outputs: int, inputs: int, alike: float
) -> None:
    weight, moments = drawn(seed, outputs, inputs, alike)
    found = rounded(weight, moments)
    steps = found / scales_of(weight)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert np.abs(steps).max() <= MOST + 1e-9
    # The quantiser takes its scale from what it sees: the same one, and nothing moves.
    np.testing.assert_allclose(scales_of(found), scales_of(weight), rtol=1e-12)
    np.testing.assert_allclose(nearest(found), found, atol=1e-12)


@pytest.mark.parametrize("inputs", [20, 150, 300])
def test_errors_cancel_where_inputs_are_alike(inputs: int) -> None:
    weight, moments = drawn(1, 16, inputs, 0.6)
    plain = output_error(weight, nearest(weight), moments)
    assert output_error(weight, rounded(weight, moments), moments) < 0.5 * plain


def test_output_error_is_what_the_outputs_show() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((500, 7))
    weight, other = generator.standard_normal((2, 3, 7))
    seen = np.mean(np.sum((x @ (other - weight).T) ** 2, axis=1))
    assert output_error(weight, other, x.T @ x / len(x)) == pytest.approx(seen, rel=1e-5)


def test_inputs_that_have_nothing_in_common_leave_each_number_to_itself() -> None:
    weight, _ = drawn(2, 5, 40, 0.0)
    np.testing.assert_array_equal(rounded(weight, np.eye(40)), nearest(weight))


def test_rows_and_inputs_of_nothing() -> None:
    weight, moments = drawn(3, 4, 12, 0.5)
    weight[1] = 0
    moments[:, 5] = moments[5] = 0
    found = rounded(weight, moments)
    assert not found[1].any()
    assert np.isfinite(found).all()
    assert np.array_equal(rounded(weight, np.zeros_like(moments)), nearest(weight))

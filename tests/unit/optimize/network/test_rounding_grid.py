"""Numbers rounded by a step that can be learnt, and the first step for them."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.optimize.network.rounding.grid import (
    LEVELS,
    MOST,
    MOST_REDUCED,
    first_step,
    first_steps,
    rounded,
)

NUMBERS = st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=40).map(torch.tensor)
STEPS = st.floats(0.015625, 2, width=32).map(torch.tensor)


@given(NUMBERS, STEPS)
@settings(deadline=None)
def test_each_number_goes_to_the_nearest_level(values: torch.Tensor, step: torch.Tensor) -> None:
    found = rounded(values, step, -MOST, MOST)
    cut = values.clamp(-MOST * step, MOST * step)
    assert bool(((found - cut).abs() <= step * 0.5001 + 1e-5).all())
    assert torch.allclose(rounded(found, step, -MOST, MOST), found, atol=1e-5)
    assert bool((found[values == 0] == 0).all())


def test_the_gradients_are_those_of_learned_step_sizes() -> None:
    values = torch.tensor([0.26, -0.3, 5.0, -7.0], requires_grad=True)
    step = torch.tensor(0.1, requires_grad=True)
    rounded(values, step, -4, 3).sum().backward()
    # Inside: what rounding adds, in steps; outside: the level that all beyond goes to.
    assert step.grad is not None
    assert abs(float(step.grad) - ((3 - 2.6) + (-3 + 3.0) + 3 - 4)) < 1e-5
    assert values.grad is not None
    assert values.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


@given(NUMBERS.map(torch.abs))
@settings(deadline=None)
def test_a_first_step_is_no_worse_than_that_of_the_extremes(values: torch.Tensor) -> None:
    step, zero = first_step(values)
    assert zero == 0

    def off(size: float) -> float:
        found = rounded(values, torch.tensor(size), 0, LEVELS)
        return float((found - values).square().mean())

    whole = float(values.max()) / LEVELS
    assert whole < 1e-30 or off(step) <= off(whole) * 1.0001 + 1e-12


def test_values_of_one_sign_get_all_levels() -> None:
    assert first_step(torch.tensor([0.0, 1.0, 255.0]))[1] == 0
    assert first_step(torch.tensor([0.0, -1.0, -255.0]))[1] == LEVELS
    assert first_step(torch.tensor([-2.0, 1.5]))[1] == (LEVELS + 1) // 2
    assert 10 < first_step(torch.tensor([-0.28, 3.0]))[1] < 40  # what a GELU gives
    assert first_step(torch.zeros(3)) == (1 / LEVELS, 0)


def test_each_channel_has_a_step_of_its_own() -> None:
    weight = torch.randn(3, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[1] *= 100
    weight[2] = 0
    steps = first_steps(weight, MOST)
    assert 50 < float(steps[1] / steps[0]) < 200
    assert float(steps[2]) > 0
    assert torch.allclose(
        first_steps(weight[:2], MOST_REDUCED), steps[:2] * MOST / MOST_REDUCED, rtol=0.2
    )

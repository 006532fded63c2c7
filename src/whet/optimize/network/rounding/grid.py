"""Numbers rounded to whole steps, so that the size of a step can be learnt; pure.

    x̂ = s round(clamp(x / s, low, high))

The gradient goes through the rounding as if it weren't there (Bengio et al. 2013). What then comes
out for the step is that of LSQ (Esser et al. 2020, "Learned step size quantization"):

    dx̂/ds = round(x / s) - x / s  inside,  low or high  outside

so a step grows for the sake of what it cuts off and shrinks for the sake of what it rounds. LSQ
scales that gradient so that steps move in proportion as weights do. Adam's moves don't depend on
the size of gradients, but on that of what moves: what is learnt of a step is a factor, which begins
with 1, so that all steps move in proportion to themselves (`whet.optimize.network.learning.adam`).

First steps are those of the least squared error on samples: of shares of the largest value, the best.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["LEVELS", "MOST", "MOST_REDUCED", "first_step", "first_steps", "rounded"]

MOST, MOST_REDUCED = 127, 63  # of weights, with either sign
LEVELS = 255  # of values, above the lowest

_SHARES = torch.linspace(0.3, 1.0, 36)
_LOPSIDED = 0.5  # below it, the smaller side gets no more than its share of the levels
_NOTHING = 1.0 / LEVELS  # the step of what is always 0


def rounded(x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Each number at the nearest whole step.

    Args:
        x: in float32.
        step: above 0; spreads over ``x``.
        low: lowest number of steps.
        high: highest.
    """
    found: torch.Tensor = _Rounded.apply(x, step, low, high)
    return found


class _Rounded(torch.autograd.Function):  # type: ignore[misc]  # torch is untyped here
    """As `rounded`; written out, it takes half the time and memory of its parts."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: torch.Tensor, low: int, high: int) -> torch.Tensor:
        steps = x / step
        ctx.save_for_backward(steps, step)
        ctx.ends = low, high
        found: torch.Tensor = steps.clamp(low, high).round_().mul_(step)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        steps, step = ctx.saved_tensors
        cut = steps.clamp(*ctx.ends)
        inside = cut == steps
        of_step = cut.round_().sub_(steps * inside).mul_(gradient)
        return gradient * inside, of_step.sum_to_size(step.shape), None, None


def first_step(values: torch.Tensor) -> tuple[float, int]:
    """The step for values, and which of the levels is 0.

    Values of one sign have the 0 at the end, others in the middle, unless they are lopsided (Bhalgat
    et al. 2020, "LSQ+"). It is a level always: paddings and rectified values are exact.

    Args:
        values: (n,), some of those that are to be rounded.
    """
    lowest, highest = float(values.min().clamp_max(0)), float(values.max().clamp_min(0))
    if lowest == highest:
        return _NOTHING, 0
    if min(-lowest, highest) >= _LOPSIDED * max(-lowest, highest):
        zero = (LEVELS + 1) // 2
        whole = max(-lowest / zero, highest / (LEVELS - zero))
    else:
        zero = round(LEVELS * -lowest / (highest - lowest))
        whole = (highest - lowest) / LEVELS
    steps = whole * _SHARES
    errors = [_error(values[None], step[None], -zero, LEVELS - zero) for step in steps]
    return float(steps[int(torch.cat(errors).argmin())]), zero


def first_steps(weight: torch.Tensor, most: int) -> torch.Tensor:
    """A step for each output channel of a layer's weights, with 0 in the middle.

    Args:
        weight: (channels, ...).
        most: steps in either direction.
    """
    rows = weight.detach().flatten(1)
    whole = rows.abs().amax(1) / most
    tried = whole * _SHARES[:, None]
    errors = torch.stack([_error(rows, steps, -most, most) for steps in tried])
    best = tried.gather(0, errors.argmin(0)[None])[0]
    return torch.where(whole > 0, best, torch.full_like(best, _NOTHING))


def _error(rows: torch.Tensor, steps: torch.Tensor, low: int, high: int) -> torch.Tensor:
    """Mean squared error of each row."""
    steps = steps.clamp_min(torch.finfo(steps.dtype).tiny)[:, None]
    return (rounded(rows, steps, low, high) - rows).square().mean(1)

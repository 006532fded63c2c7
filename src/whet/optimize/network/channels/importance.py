"""In which order channels can be given up, if what takes them is fitted anew after each; pure.

Theory of operation. A layer takes x, and x W should stay what it is. Let H = X'X over samples. If
the inputs of a unit (a channel's places in a kernel, a head) are given up and the other weights are
those of least squares, the error grows by

    tr( W_u' [(H^-1)_uu]^-1 W_u ),

and the best other weights, and their H^-1, follow by

    W    -= (H^-1)_:u [(H^-1)_uu]^-1 W_u
    H^-1 -= (H^-1)_:u [(H^-1)_uu]^-1 (H^-1)_u:

(optimal brain surgeon for structures: ZipLM; Kurtic, Frantar and Alistarh 2023). The cheapest unit
goes, and so on to the last: one order for all widths. Where several layers take the same channels
their errors are added, each as a share of what it gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["Taker", "removal_order"]

_RIDGE = 1e-3  # of the mean of H's diagonal, so that what samples don't tell apart has an inverse
_STEPS = 48  # in which all are given up; within a step, errors are those from its beginning


@dataclass(frozen=True)
class Taker:
    """A layer that takes the channels.

    Attributes:
        products: H, (wide, wide).
        weights: (wide, tall).
        units: places of each unit among the inputs, (units, size).
    """

    products: torch.Tensor
    weights: torch.Tensor
    units: torch.Tensor


def removal_order(takers: Sequence[Taker], *, steps: int = _STEPS) -> torch.Tensor:
    """Units in the order in which they are given up, the least needed first; (units,).

    Args:
        takers: the layers that take the units' channels; at least one.
        steps: more are nearer to one unit at a time, and slower.
    """
    count = len(takers[0].units)
    states = [_State(taker) for taker in takers]
    left, order = torch.arange(count), list[torch.Tensor]()
    at_once = -(-count // steps)
    while len(left):
        errors = sum((state.errors(left) for state in states), torch.zeros(len(left)))
        gone = left[torch.argsort(errors, stable=True)[:at_once]]
        order.append(gone)
        left = left[~torch.isin(left, gone)]
        for state in states if len(left) else ():
            state.give_up(gone)
    return torch.cat(order)


class _State:
    """A taker's inverse and weights as units go."""

    def __init__(self, taker: Taker) -> None:
        products = taker.products.float()
        pull = _RIDGE * products.diagonal().mean().clamp_min(1e-30)
        damped = products + pull * torch.eye(len(products))
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
        self.weights, self.units = taker.weights.float().clone(), taker.units
        given: torch.Tensor = (self.weights * (products @ self.weights)).sum()
        self.scale = float(given.clamp_min(1e-30))

    def errors(self, units: torch.Tensor) -> torch.Tensor:
        """By how much the error grows if a unit goes, for each, as a share of what is given."""
        places = self.units[units]  # (units, size)
        own = self.inverse[places[:, :, None], places[:, None, :]]
        weights = self.weights[places]  # (units, size, tall)
        grown: torch.Tensor = (weights * torch.linalg.solve(own, weights)).sum((1, 2))
        return grown / self.scale

    def give_up(self, units: torch.Tensor) -> None:
        """Take units out, and let the other weights make up for them."""
        places = self.units[units].flatten()
        rows = self.inverse[places]  # (places, wide)
        by = torch.linalg.solve(rows[:, places], torch.cat([self.weights[places], rows], 1))
        tall = self.weights.shape[1]
        self.weights -= rows.T @ by[:, :tall]
        self.inverse -= rows.T @ by[:, tall:]
        # What is gone has neither weight nor part in any product; a 1 keeps it invertible.
        self.weights[places] = 0
        self.inverse[places] = 0
        self.inverse[:, places] = 0
        self.inverse[places, places] = 1

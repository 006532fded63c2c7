"""Which weights of a layer can be 0, if those that stay make up for them; pure.

Theory of operation. A layer takes x, and what it gives should stay what it is. Let H = X'X over
samples, and U the upper Cholesky factor of H's inverse. If the weight of input j becomes 0, the
error grows by w_j^2 / U_jj^2, as far as the inputs after j can make up for it, and the best change
of those is

    w_k -= w_j / U_jj * U_jk,   k > j

(optimal brain surgeon, in one order for all rows: SparseGPT; Frantar and Alistarh 2023). Inputs are
gone through once, in steps of a few; at the beginning of each it is chosen which of its weights go,
by what the error grows by then. Either a share of all of them, or two of each four neighbours (2:4),
as some hardware computes. For that, neighbours are channels at one place of a kernel.

In one order the last ones have nobody to make up for them; so once it is clear which weights stay,
all of those settle together, by conjugate gradients on the same error.

A bias comes last and never goes, so it makes up for means.
"""

from __future__ import annotations

import torch

from whet.optimize.network.structure.pattern import Pattern

__all__ = ["pruned"]

_RIDGE = 1e-2  # of the mean of H's diagonal, so that what samples don't tell apart has an inverse
_STEP = 16  # inputs whose weights are chosen among each other
_SETTLING = 30  # steps of conjugate gradients
_FOUR, _TWO = 4, 2


def pruned(
    weights: torch.Tensor, products: torch.Tensor, pattern: Pattern, share: float, wide: int
) -> torch.Tensor:
    """The weights with zeros among them, and the others changed so that they make up for it.

    Args:
        weights: (inputs, tall), in an order in which neighbours come together.
        products: H, (inputs, inputs).
        pattern: of the zeros.
        share: of the weights that go; half of them where the pattern says so.
        wide: inputs whose weights may go; those after them (a bias) stay.
    """
    damped = products.double()
    damped = damped + torch.diag(
        torch.full_like(damped[0], _RIDGE * float(damped.diagonal().mean().clamp_min(1e-30)))
    )
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    upper = torch.linalg.cholesky(inverse, upper=True)
    found = weights.double().clone()
    for begin in range(0, wide, _STEP):
        end = min(begin + _STEP, wide)
        lost = torch.zeros_like(found[begin:end])
        gone = torch.zeros_like(lost, dtype=torch.bool)
        if pattern is Pattern.ANY:
            gone = _cheapest(found[begin:end], upper, begin, share)
        for place in range(begin, end):
            row = place - begin
            if pattern is Pattern.TWO_OF_FOUR and place % _FOUR == 0:
                gone[row : row + _FOUR] = _two(found[place : place + _FOUR], upper, place)
            lost[row] = torch.where(gone[row], found[place], 0.0) / upper[place, place]
            found[place] = torch.where(gone[row], 0.0, found[place])
            found[place + 1 : end] -= upper[place, place + 1 : end, None] * lost[row]
        found[end:] -= upper[begin:end, end:].T @ lost
    return _settled(found, weights.double(), damped)


def _settled(found: torch.Tensor, weights: torch.Tensor, products: torch.Tensor) -> torch.Tensor:
    """Weights that aren't 0 brought nearer to the best, each output for itself."""
    stays = found != 0
    scale = products.diagonal()[:, None]
    rest = stays * (products @ (weights - found))
    step = ahead = rest / scale
    grown = (rest * ahead).sum(0)
    for _ in range(_SETTLING):
        turned = stays * (products @ step)
        length = grown / (step * turned).sum(0).clamp_min(1e-300)
        found = found + length * step
        rest = rest - length * turned
        ahead = rest / scale
        now = (rest * ahead).sum(0)
        step, grown = ahead + now / grown.clamp_min(1e-300) * step, now
    return found


def _cheapest(weights: torch.Tensor, upper: torch.Tensor, begin: int, share: float) -> torch.Tensor:
    """The share of some weights by which the error grows least."""
    scale = upper.diagonal()[begin : begin + len(weights), None]
    grown = (weights / scale).square()
    count = round(share * grown.numel())
    gone = torch.zeros(grown.numel(), dtype=torch.bool)
    gone[grown.flatten().argsort(stable=True)[:count]] = True
    return gone.view_as(weights)


def _two(weights: torch.Tensor, upper: torch.Tensor, begin: int) -> torch.Tensor:
    """Of four neighbours the two by which the error grows least, for each output."""
    scale = upper.diagonal()[begin : begin + _FOUR, None]
    order = (weights / scale).square().argsort(dim=0, stable=True)
    return torch.zeros_like(weights, dtype=torch.bool).scatter(0, order[:_TWO], True)

"""A linear head fitted to what the original answers: least squares first, then the divergence.

Theory of operation. With z the pooled values of a sample, each brought to a mean of 0 and a spread
of 1 over the samples, and y the original's scores, less their means, the rows over all samples being Z and Y,

    W = (Z'Z + r n I)^-1 Z'Y    (ridge regression; Hoerl and Kennard 1970),

which has one solution, needs no steps and no labels. How hard to pull towards nothing (r), and which way of
pooling is best, is told by samples that aren't fitted to: by the cross entropy between what the original
says is likely and what the head says. That is also what a classifier is to be near in, and squared
distances of scores aren't: so from there the cross entropy itself is followed, by L-BFGS (Liu and
Nocedal 1989), as long as it gets better on the samples held out. With few samples it doesn't, and the
closed form stands, over all samples.

What brings z to mean and spread is linear too, and goes into the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from whet.optimize.network.exits.pool import Pool

__all__ = ["Fitted", "Seen", "fitted", "ridge"]

_PULLS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the mean square of what a weight is multiplied with
_HELD, _MOST_HELD = 5, 1024  # one sample of so many judges, and so many at most
_STEPS, _LOOKS = 5, 16  # of L-BFGS between two looks at what judges, and such looks at most
_WORK = 5e11  # multiplications that following the cross entropy may take
_EACH = 3 * 1.25 * _STEPS  # products of samples and weights for each look: there, back, searching
_DECAY = 1e-4  # of the weights' mean square, added to the cross entropy
_PATIENCE = 2  # looks without anything better, after which it ends

_Tensors = tuple[torch.Tensor, torch.Tensor]
"""Weights, (classes, p), and biases, (classes,)."""


@dataclass(frozen=True)
class Seen:
    """What a head is fitted to, a row for each sample, in a random order.

    Attributes:
        pooled: (n, p) in each way.
        scores: (n, classes) of the original.
        right: (n,) the right class; ``None`` where labels aren't to be learnt.
    """

    pooled: Mapping[Pool, torch.Tensor]
    scores: torch.Tensor
    right: torch.Tensor | None = None

    def wanted(self) -> torch.Tensor:
        """How likely each class is to be given out: halfway to the right one, where it is known."""
        likely = self.scores.softmax(1)
        if self.right is None:
            return likely
        return (likely + functional.one_hot(self.right, likely.shape[1])) / 2


@dataclass(frozen=True)
class Fitted:
    """A head's layer, and how it does.

    Attributes:
        pool: the way of pooling that did best.
        layer: from what that gives to scores.
        held: samples that it was judged by.
        agrees: share of them for which it has the original's first class.
        closed: whether it is the closed form.
    """

    pool: Pool
    layer: nn.Linear
    held: int
    agrees: float
    closed: bool


def fitted(seen: Seen) -> Fitted:
    """The best layer by samples that it wasn't fitted to.

    Args:
        seen: all samples; the first ones are held out.
    """
    n = len(seen.scores)
    held = min(_MOST_HELD, -(-n // _HELD)) if n > 1 else 0
    judging, learning = (slice(0, held), slice(held, None)) if held else (slice(None),) * 2
    wanted = seen.wanted()
    best: tuple[float, Pool, float, _Tensors] | None = None
    for pool, rows in seen.pooled.items():
        for pull, found in _ridges(rows[learning], seen.scores[learning]).items():
            off = _off(found, rows[judging], wanted[judging])
            if best is None or off < best[0]:
                best = (off, pool, pull, found)
    if best is None:
        raise ValueError("There is no way of pooling.")
    off, pool, pull, found = best
    rows = seen.pooled[pool]
    followed, nearer = _followed(
        found, (rows[learning], wanted[learning]), (rows[judging], wanted[judging])
    )
    closed = not nearer < off
    weights = ridge(rows, seen.scores, pull) if closed else followed
    said = _scores(found if closed else followed, rows[judging]).argmax(1)
    agrees = float((said == seen.scores[judging].argmax(1)).float().mean())
    return Fitted(pool, _layer(weights, seen.scores.dtype), len(said), agrees, closed)


def ridge(rows: torch.Tensor, scores: torch.Tensor, pull: float) -> _Tensors:
    """Weights and biases of least squares, pulled towards answering with the scores' mean.

    Args:
        rows: (n, p).
        scores: (n, classes).
        pull: of each number of a row, brought to a spread of 1, as a share of its mean square.
    """
    return _ridges(rows, scores, (pull,))[pull]


def _ridges(
    rows: torch.Tensor, scores: torch.Tensor, pulls: tuple[float, ...] = _PULLS
) -> dict[float, _Tensors]:
    mean, spread = _spread(rows)
    z, level = (rows.double() - mean) / spread, scores.double().mean(0)
    squares, both = z.T @ z, z.T @ (scores.double() - level)
    found = {}
    for pull in pulls:
        matrix = squares + pull * len(z) * torch.eye(len(squares), dtype=squares.dtype)
        weight = torch.linalg.solve(matrix, both).T / spread
        found[pull] = weight, level - weight @ mean
    return found


def _spread(rows: torch.Tensor) -> _Tensors:
    """Mean and spread of each number; one that is always the same has a spread of 1."""
    mean, spread = rows.double().mean(0), rows.double().std(0, correction=0)
    return mean, torch.where(spread > 1e-6 * mean.abs().clamp_min(1e-6), spread, 1.0)


def _followed(start: _Tensors, learning: _Tensors, judging: _Tensors) -> tuple[_Tensors, float]:
    """From some weights on, the ones on the way of the cross entropy that judge best.

    Args:
        start: weights.
        learning: rows, and how likely each class is.
        judging: the same of samples that aren't learnt from.

    Returns:
        The weights, and how far off they are.
    """
    rows, likely = learning
    mean, spread = _spread(rows)
    z = ((rows.double() - mean) / spread).float()
    weight = (start[0] * spread).float().requires_grad_(True)
    bias = (start[1] + start[0] @ mean).float().requires_grad_(True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=_STEPS, history_size=_STEPS, line_search_fn="strong_wolfe"
    )

    def distance() -> torch.Tensor:
        search.zero_grad()
        off = functional.cross_entropy(functional.linear(z, weight, bias), likely)
        off = off + _DECAY * weight.square().mean()
        off.backward()
        return off

    best, nearest, since = start, float("inf"), 0
    for _ in range(min(_LOOKS, int(_WORK / (_EACH * max(1, z.numel() * likely.shape[1]))))):
        with torch.enable_grad():
            search.step(distance)
        own = weight.detach().double() / spread
        found = own, bias.detach().double() - own @ mean
        off, since = _off(found, *judging), since + 1
        if off < nearest:
            best, nearest, since = found, off, 0
        if since == _PATIENCE or not bool(torch.isfinite(weight).all()):
            break
    return best, nearest


def _scores(weights: _Tensors, rows: torch.Tensor) -> torch.Tensor:
    return functional.linear(rows.double(), *weights)


def _off(weights: _Tensors, rows: torch.Tensor, likely: torch.Tensor) -> float:
    """The mean cross entropy, in nats."""
    return float(functional.cross_entropy(_scores(weights, rows), likely.double()))


def _layer(weights: _Tensors, dtype: torch.dtype) -> nn.Linear:
    weight, bias = weights
    layer = nn.Linear(weight.shape[1], weight.shape[0]).to(dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer.eval()

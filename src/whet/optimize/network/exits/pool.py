"""How a value between blocks becomes one row of numbers, and the head that makes scores of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from whet.optimize.network.structure.blocks import Shape

__all__ = ["Head", "Pool", "Way", "pooled", "pools_for"]

_CELLS = (2, 4)  # a side, that the mean is also taken over
_MOST = 2048  # numbers of a row that cells may make

_ROW, _TOKENS, _PICTURE = 2, 3, 4  # axes, with that of the batch


class Way(enum.StrEnum):
    """What is made of the positions."""

    ROW = "as it is"  # there are none
    MAPS = "mean"  # channels come first, as convolutions have them
    TOKENS = "mean of all tokens"  # channels come last, as linear layers have them
    FIRST = "first token"
    MASKED = "mean of the tokens that the mask names"


@dataclass(frozen=True)
class Pool:
    """What is made of the positions, in each of ``cells`` x ``cells`` parts of a map."""

    way: Way
    cells: int = 1


# torch is not typed for our checker (see pyproject), so its base class is "Any" to it.
class Head(nn.Module):  # type: ignore[misc]
    """Scores of classes from a value between blocks: pooled over positions, then one linear layer.

    Args:
        pool: how.
        layer: from what that gives to the scores.
        ones: axes of size one that the scores have at the end.
    """

    def __init__(self, pool: Pool, layer: nn.Linear, ones: int = 0) -> None:
        super().__init__()
        self.pool, self.layer, self.ones = pool, layer, ones

    def forward(self, value: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        scores: torch.Tensor = self.layer(pooled(value, self.pool, mask))
        for _ in range(self.ones):
            scores = scores.unsqueeze(-1)
        return scores


def pooled(value: torch.Tensor, pool: Pool, mask: torch.Tensor | None = None) -> torch.Tensor:
    """One row of numbers for each sample.

    Args:
        value: (n, channels), (n, channels, ...) or (n, ..., channels), as the pool has it.
        pool: how.
        mask: (n, tokens), where the pool needs one.
    """
    axes = tuple(range(1, value.dim()))
    if pool.way is Way.MAPS and pool.cells > 1:
        sides = [side // pool.cells for side in value.shape[2:]]
        return functional.avg_pool2d(value, sides).flatten(1)
    if pool.way is Way.MAPS:
        return value.mean(axes[1:])
    if pool.way is Way.TOKENS:
        return value.mean(axes[:-1])
    if pool.way is Way.FIRST:
        return value[:, 0]
    if pool.way is Way.MASKED and mask is not None:
        weights = mask.to(value.dtype).unsqueeze(-1)
        return (value * weights).sum(1) / weights.sum(1).clamp_min(1)
    return value


def pools_for(shape: Shape, sizes: tuple[int, ...], *, mask: bool) -> tuple[Pool, ...]:
    """All that can be made of a value: which is best is for the fit to say.

    Args:
        shape: of it, with the names of sizes that are free.
        sizes: as they are for some batch: fewer channels than in the original may be left.
        mask: whether there is one over its tokens.
    """
    fixed = [isinstance(size, int) for size in shape]
    if len(shape) == _ROW:
        return (Pool(Way.ROW),) if fixed[1] else ()
    found = [Pool(Way.MAPS)] if fixed[1] else []
    if len(shape) == _PICTURE and all(fixed[1:]):
        channels, *sides = sizes[1:]
        found += [
            Pool(Way.MAPS, cells)
            for cells in _CELLS
            if channels * cells**2 <= _MOST and all(s > cells and s % cells == 0 for s in sides)
        ]
    if fixed[-1]:
        found.append(Pool(Way.TOKENS))
        if len(shape) == _TOKENS:
            found += [Pool(Way.FIRST), *([Pool(Way.MASKED)] if mask else [])]
    return tuple(found)

"""A layer as two over few channels, so chosen that what they answer is nearest to what it answers.

Theory of operation. A layer answers y = W x + b; over samples, y has the mean m and the covariance
S. Of all ways through r channels, the one that loses least of y (its squared distance, summed over
the samples) goes along the r main axes of S, the columns of P:

    y' = m + P P' (y - m) = P (P' W x) + m - P P' (m - b)

so the first layer is P'W, without a bias, and the second P, with the rest as its bias. It is the
singular value decomposition of W C^(1/2), with C the covariance of x (Zhang et al. 2016; SVD-LLM,
Wang et al. 2024), since S = W C W' has the same axes; but S is no larger than the answers are many,
where C has a kernel's places besides. And it is told by answers alone, so that it stays right where
what the layer takes was changed before.

Of a convolution the first layer keeps the kernel, with its steps and its padding, and the second is
1x1. The other way round, the 1x1 would run over the larger map where there are steps; and of a
split into a kx1 and a 1xk kernel the best one has no closed form, and runtimes have no fast kernels
for it.
"""

from __future__ import annotations

import torch
from torch import nn

from whet.optimize.network.fitting.products import FITTED, Spread

__all__ = ["before", "full_rank", "most_rank", "paired", "rank_for"]


def full_rank(layer: nn.Module) -> int:
    """The rank at which a pair still answers whatever the layer answers."""
    full: int = min(layer.weight.flatten(1).shape)
    return full


def most_rank(layer: nn.Module) -> int:
    """The highest rank whose pair multiplies less often than the layer; 0 where there is none."""
    tall, wide = layer.weight.flatten(1).shape
    most: int = (tall * wide - 1) // (tall + wide)
    return most


def rank_for(layer: nn.Module, share: float, tile: int) -> int:
    """The rank whose pair multiplies about a share as often as the layer, in whole tiles."""
    tall, wide = layer.weight.flatten(1).shape
    rank = share * tall * wide / (tall + wide)
    step = tile if full_rank(layer) > tile else 1
    found: int = max(step, round(rank / step) * step)
    return found


def paired(layer: FITTED, spread: Spread, rank: int) -> tuple[FITTED, FITTED]:
    """Two layers in the place of one.

    Args:
        layer: linear, or a convolution over all channels; it stays as it is.
        spread: of what it answers.
        rank: channels between the two.
    """
    weight = layer.weight.detach()
    flat = weight.double().flatten(1)
    axes, mean = spread.axes()[:, :rank], spread.mean()
    own = torch.zeros_like(mean) if layer.bias is None else layer.bias.detach().double()
    first, second = _empty(layer, rank)
    with torch.no_grad():
        first.weight.copy_((axes.T @ flat).reshape(first.weight.shape))
        second.weight.copy_(axes.reshape(second.weight.shape))
        second.bias.copy_(mean - axes @ (axes.T @ (mean - own)))
    for each in (first, second):
        each.to(weight.dtype).requires_grad_(layer.weight.requires_grad).eval()
    return first, second


def before(second: FITTED, answer: torch.Tensor) -> torch.Tensor:
    """What the second layer of a pair has to take to come nearest to an answer."""
    weight = second.weight.detach().flatten(1).double()
    axis = -1 if isinstance(second, nn.Linear) else 1
    rest = answer.movedim(axis, -1) - second.bias.detach()
    return (rest @ torch.linalg.pinv(weight).T.to(rest.dtype)).movedim(-1, axis)


def _empty(layer: FITTED, rank: int) -> tuple[FITTED, FITTED]:
    """The two layers, without weights yet."""
    tall = len(layer.weight)
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, rank, bias=False), nn.Linear(rank, tall)
    kind = type(layer)
    first = kind(
        layer.in_channels,
        rank,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        bias=False,
        padding_mode=layer.padding_mode,
    )
    return first, kind(rank, tall, 1)

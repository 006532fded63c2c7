"""A convolution as two: kernels over single channels, then a 1x1 over all; those that lose least.

Theory of operation. A convolution answers y = W x + b, with x a patch: of each of its channels the
places of a kernel. In its place come m kernels for each channel (the rows of B, zero outside of
their channel) and a 1x1 over what they give (P), so that y' = P B x + c. Over samples x has the
covariance C, and with what should be answered the covariance R. What is lost is

    tr(P B C B' P') - 2 tr(P B R) + what neither changes,

and c makes up for the means. Of each channel alone, the best kernels are the first m of the
singular value decomposition of its own weights, weighted by what the channel gives: W_i C_ii^(1/2).
Channels go together, though, so from there on one of the two is fitted in turn while the other
stays, each by least squares: P in one system; B by conjugate gradients, as its system is as large
as all kernels together, but is applied cheaply (C B' and P'P are never multiplied out). What is
lost falls with each turn.

With m as large as the kernel nothing is lost; m = 1 is the depthwise-separable convolution
(Howard et al. 2017). Steps, padding and gaps go with the kernels over single channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from whet.optimize.network.fitting.products import FITTED, Half

__all__ = ["Moments", "fitted", "most_multiplier", "separated"]

_TURNS = 12
_STEPS = 12  # of conjugate gradients in each
_PULL = 1e-3  # of C's mean diagonal, towards the layer's own weights: few samples leave much open
_LEAST = 1e-9  # of a diagonal's mean, so that kernels which are the same have a solution


def most_multiplier(layer: nn.Module) -> int:
    """The most kernels for each channel that still multiply less often; 0 where there are none."""
    if not isinstance(layer, FITTED) or isinstance(layer, nn.Linear) or layer.transposed:
        return 0
    tall, kernel = len(layer.weight) // layer.groups, layer.weight[0, 0].numel()
    most: int = (tall * kernel - 1) // (tall + kernel)
    return most


@dataclass(frozen=True)
class Moments:
    """Means and covariances of one group of channels.

    Attributes:
        takes: mean of a patch, (channels * kernel,).
        gives: mean of what should be answered, (tall,).
        spread: C, (channels, kernel, channels * kernel).
        both: R, (channels, kernel, tall).
        weights: the layer's own, (tall, channels, kernel).
    """

    takes: torch.Tensor
    gives: torch.Tensor
    spread: torch.Tensor
    both: torch.Tensor
    weights: torch.Tensor


def separated(layer: FITTED, half: Half, multiplier: int) -> tuple[FITTED, FITTED]:
    """Two convolutions in the place of one.

    Args:
        layer: with a bias; it stays as it is.
        half: sums over what it takes and what should be answered.
        multiplier: kernels for each channel.
    """
    weight = layer.weight.detach()
    first, second = _empty(layer, multiplier)
    made = [fitted(each, multiplier) for each in _moments(layer, half)]
    with torch.no_grad():
        first.weight.copy_(torch.cat([k.flatten(0, 1) for k, _, _ in made]).view_as(first.weight))
        second.weight.copy_(torch.cat([p.flatten(1) for _, p, _ in made]).view_as(second.weight))
        second.bias.copy_(torch.cat([c for _, _, c in made]))
    for each in (first, second):
        each.to(weight.dtype).requires_grad_(layer.weight.requires_grad).eval()
    return first, second


def fitted(moments: Moments, multiplier: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Kernels (channels, multiplier, kernel), what mixes them (tall, channels, multiplier), a bias."""
    kernels = _begin(moments, multiplier)
    mixing = _mixing(moments, kernels)
    for _ in range(_TURNS if multiplier < kernels.shape[2] else 0):
        kernels = _kernels(moments, kernels, mixing)
        kernels /= kernels.norm(dim=2, keepdim=True).clamp_min(1e-30)
        mixing = _mixing(moments, kernels)
    channels, _, kernel = kernels.shape
    means = torch.einsum("imk,ik->im", kernels, moments.takes.view(channels, kernel))
    return kernels, mixing, moments.gives - torch.einsum("oim,im->o", mixing, means)


def _moments(layer: FITTED, half: Half) -> list[Moments]:
    found = []
    weights = layer.weight.detach().double().flatten(2).unflatten(0, (layer.groups, -1))
    for inputs, answers, own in zip(half.inputs, half.answers, weights, strict=True):
        # The last row and column are those of the bias, which counts.
        rows = inputs[-1, -1].clamp_min(1.0)
        takes, gives = inputs[:-1, -1] / rows, answers[-1] / rows
        spread = inputs[:-1, :-1] / rows - takes[:, None] * takes
        both = answers[:-1] / rows - takes[:, None] * gives
        pull = _PULL * spread.diagonal().mean().clamp_min(1e-30)
        spread.diagonal().add_(pull)
        both += pull * own.flatten(1).T
        size = own.shape[1:]
        found.append(Moments(takes, gives, spread.unflatten(0, size), both.unflatten(0, size), own))
    return found


def _begin(moments: Moments, multiplier: int) -> torch.Tensor:
    """Of each channel alone the best kernels, of length 1."""
    root = torch.linalg.cholesky(_own(moments))
    axes = torch.linalg.svd(moments.weights.movedim(1, 0) @ root, full_matrices=True).Vh
    found = torch.linalg.solve_triangular(root, axes[:, :multiplier], upper=False, left=False)
    return found / found.norm(dim=2, keepdim=True)


def _own(moments: Moments) -> torch.Tensor:
    """C of each channel with itself: (channels, kernel, kernel)."""
    channels, kernel, _ = moments.spread.shape
    split = moments.spread.view(channels, kernel, channels, kernel)
    return split.diagonal(dim1=0, dim2=2).movedim(2, 0)


def _mixing(moments: Moments, kernels: torch.Tensor) -> torch.Tensor:
    """The best P for these kernels."""
    channels, many, kernel = kernels.shape
    half = (kernels @ moments.spread).view(-1, channels, kernel)  # B C
    matrix = torch.einsum("nik,imk->nim", half, kernels).flatten(1)
    matrix.diagonal().add_(_LEAST * matrix.diagonal().mean().clamp_min(1e-30))
    wanted = (kernels @ moments.both).flatten(0, 1)
    return torch.linalg.solve(matrix, wanted).T.unflatten(1, (channels, many))


def _kernels(moments: Moments, kernels: torch.Tensor, mixing: torch.Tensor) -> torch.Tensor:
    """Kernels nearer to the best for this P, by conjugate gradients from those that there are."""
    channels, many, kernel = kernels.shape
    flat = mixing.flatten(1)
    product = flat.T @ flat  # P'P

    def applied(b: torch.Tensor) -> torch.Tensor:
        half = (b @ moments.spread).view(channels * many, channels, kernel).movedim(1, 0)
        return product.view(channels, many, -1) @ half

    own = product.view(channels, many, channels, many).diagonal(dim1=0, dim2=2).movedim(2, 0)
    least = _LEAST * own.diagonal(dim1=1, dim2=2).mean().clamp_min(1e-30)
    near = torch.linalg.pinv(own + least * torch.eye(many, dtype=own.dtype), hermitian=True)
    its = torch.linalg.inv(_own(moments))
    wanted = mixing.permute(1, 2, 0) @ moments.both.mT
    rest = wanted - applied(kernels)
    step = ahead = near @ rest @ its
    grown = (rest * ahead).sum()
    for _ in range(_STEPS):
        if not grown > 0:  # nothing is left to gain
            break
        turned = applied(step)
        length = grown / (step * turned).sum()
        kernels = kernels + length * step
        rest = rest - length * turned
        ahead = near @ rest @ its
        now = (rest * ahead).sum()
        step, grown = ahead + now / grown * step, now
    return kernels


def _empty(layer: FITTED, multiplier: int) -> tuple[FITTED, FITTED]:
    """The two convolutions, without weights yet."""
    kind, between = type(layer), layer.in_channels * multiplier
    first = kind(
        layer.in_channels,
        between,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        groups=layer.in_channels,
        bias=False,
        padding_mode=layer.padding_mode,
    )
    return first, kind(between, layer.out_channels, 1, groups=layer.groups)

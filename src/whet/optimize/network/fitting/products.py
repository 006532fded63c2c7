"""Sums of products of what a layer takes and should give: all that least squares needs of samples.

Only sums are kept, so any number of samples fits; of a large map some places of each sample are
enough, as neighbours tell the same.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from whet.errors import RequirementError

__all__ = ["FITTED", "WIDE", "Half", "Spread", "Sums"]

WIDE = 1024  # inputs from which on single precision must do: it takes half the time
_PLACES = 64  # of a map that are looked at in each sample

FITTED = nn.Linear | nn.modules.conv._ConvNd  # noqa: SLF001 - what all convolutions have in common
"""Layers that are linear in their weights."""


@dataclass
class Half:
    """Sums over every other batch.

    Attributes:
        inputs: products of what the layer takes, (groups, wide, wide).
        answers: of that with what it should give, (groups, wide, tall).
        squares: of what it should give.
    """

    inputs: torch.Tensor
    answers: torch.Tensor
    squares: float = 0.0

    def error(self, weights: torch.Tensor) -> float:
        """Squared distance of what weights give from what they should, as a share of that."""
        wide = len(weights[0]) > WIDE
        inputs, own = (self.inputs.float(), weights.float()) if wide else (self.inputs, weights)
        given = (own * (inputs @ own)).sum()
        both = (weights * self.answers).sum()
        return max(0.0, float(given - 2 * both) + self.squares) / max(self.squares, 1e-30)


class Sums:
    """Sums of products of a layer's inputs and of the original's answers, by group of channels.

    They are kept apart for every other batch, so that one half can judge what the other fits.

    Args:
        layer: whose weights will be fitted.
        seed: of the places.
    """

    def __init__(self, layer: nn.Module, seed: int) -> None:
        if not isinstance(layer, FITTED) or getattr(layer, "transposed", False):
            raise RequirementError(
                f"A {type(layer).__name__} has no weights that can be fitted.",
                "Name linear layers and convolutions.",
            )
        self.layer, self._random = layer, torch.Generator().manual_seed(seed)
        self.groups = layer.groups if not isinstance(layer, nn.Linear) else 1
        wide = layer.weight[0].numel() + (layer.bias is not None)
        tall = len(layer.weight) // self.groups
        self.halves = tuple(
            Half(
                torch.zeros(self.groups, wide, wide, dtype=torch.float64),
                torch.zeros(self.groups, wide, tall, dtype=torch.float64),
            )
            for _ in range(2)
        )
        self._seen = 0

    def see(self, value: torch.Tensor, wanted: torch.Tensor) -> None:
        """Take in what the layer takes and what it should give."""
        x, t = self._rows_of(value, wanted)  # (rows, groups, wide), (rows, groups, tall)
        if self.layer.bias is not None:
            x = torch.cat([x, x.new_ones(*x.shape[:2], 1)], 2)
        half = self.halves[self._seen % 2]
        half.inputs += torch.einsum("rgi,rgj->gij", x, x).double()
        half.answers += torch.einsum("rgi,rgo->gio", x, t).double()
        half.squares += float(t.double().square().sum())
        self._seen += 1

    def whole(self) -> Half:
        """The sums over all batches."""
        one, other = self.halves
        return Half(
            one.inputs + other.inputs, one.answers + other.answers, one.squares + other.squares
        )

    def weights(self) -> torch.Tensor:
        """The layer's weights as they multiply rows, the bias last: (groups, wide, tall)."""
        layer = self.layer
        found = layer.weight.detach().double().flatten(1).unflatten(0, (self.groups, -1))
        if layer.bias is not None:
            bias = layer.bias.detach().double().unflatten(0, (self.groups, -1))
            found = torch.cat([found, bias[..., None]], 2)
        return found.mT

    def put(self, weights: torch.Tensor) -> None:
        """Give weights of that form to the layer."""
        layer = self.layer
        with torch.no_grad():
            flat = weights.mT.flatten(0, 1).to(layer.weight.dtype)
            if layer.bias is not None:
                layer.bias.copy_(flat[:, -1])
                flat = flat[:, :-1]
            layer.weight.copy_(flat.reshape(layer.weight.shape))

    def _rows_of(
        self, value: torch.Tensor, wanted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        layer = self.layer
        if isinstance(layer, nn.Linear):
            x, t = value.flatten(0, -2)[:, None], wanted.flatten(0, -2)[:, None]
            return x, t
        answers = wanted.flatten(2).unflatten(1, (self.groups, -1))
        places = torch.randperm(answers.shape[-1], generator=self._random)[:_PLACES]
        patches = _patches(layer, value, wanted.shape[2:], places)
        t = answers[..., places].movedim(-1, 1)
        return patches.flatten(0, 1), t.flatten(0, 1)


class Spread:
    """How what a layer answers varies: sums of it and of its products, over samples.

    Args:
        layer: that answers.
        seed: of the places.

    Attributes:
        rows: that were seen.
        sums: of each channel.
        products: of each two.
    """

    def __init__(self, layer: nn.Module, seed: int) -> None:
        tall = len(layer.weight)
        self._last = isinstance(layer, nn.Linear)
        self._random = torch.Generator().manual_seed(seed)
        self.rows = 0
        self.sums = torch.zeros(tall, dtype=torch.float64)
        self.products = torch.zeros(tall, tall, dtype=torch.float64)
        self._axes: torch.Tensor | None = None

    def see(self, answer: torch.Tensor) -> None:
        """Take in what the layer answers."""
        rows = answer.flatten(0, -2)
        if not self._last:
            answers = answer.flatten(2)
            places = torch.randperm(answers.shape[-1], generator=self._random)[:_PLACES]
            rows = answers[..., places].movedim(1, -1).flatten(0, 1)
        rows, self._axes = rows.double(), None
        self.rows += len(rows)
        self.sums += rows.sum(0)
        self.products += rows.T @ rows

    def some(self, channels: torch.Tensor) -> Spread:
        """The same of some channels."""
        found = copy.copy(self)
        found.sums = self.sums[channels]
        found.products = self.products[channels][:, channels]
        found._axes = None  # noqa: SLF001 - its own kind
        return found

    def mean(self) -> torch.Tensor:
        """The mean of each channel."""
        return self.sums / max(self.rows, 1)

    def axes(self) -> torch.Tensor:
        """The main axes of what varies, as columns, the longest first."""
        if self._axes is None:  # large layers take seconds, and menus ask for several ranks
            mean = self.mean()
            varied = self.products / max(self.rows, 1) - mean[:, None] * mean
            self._axes = torch.linalg.eigh(varied).eigenvectors.flip(1)
        return self._axes


def _patches(
    layer: nn.modules.conv._ConvNd,
    value: torch.Tensor,
    sizes: Sequence[int],
    places: torch.Tensor,
) -> torch.Tensor:
    """What some answers of a convolution are made from: (n, places, groups, channels * kernel).

    Args:
        layer: the convolution.
        value: that it takes, (n, channels, ...).
        sizes: of its answer.
        places: numbers of those looked at, counted along the last axis first.
    """
    found = functional.pad(
        value,
        layer._reversed_padding_repeated_twice,  # noqa: SLF001 - also what "same" comes to
        mode="constant" if layer.padding_mode == "zeros" else layer.padding_mode,
    )
    steps = zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    for axis, (size, step, gap) in enumerate(steps, 2):
        found = found.unfold(axis, gap * (size - 1) + 1, step)[..., ::gap]
    # A view so far, with the kernel's axes last; only what is looked at becomes memory.
    some = found[(slice(None), slice(None), *torch.unravel_index(places, tuple(sizes)))]
    return some.flatten(3).unflatten(1, (layer.groups, -1)).movedim(3, 1).flatten(3)

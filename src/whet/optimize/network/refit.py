"""Weights of layers fitted in closed form to what the original's layers give, without labels.

Theory of operation. A layer whose input was changed (fewer channels, rougher values) should give
what the original's layer of that name gives, on the same samples. Both are linear in the weights,
so the best ones are those of least squares: with x a patch of the layer's input now (and a 1 where
it has a bias), t the original's answer at that place, and X, T their rows over all samples,

    W = (X'X + r I)^-1 X'T,   pulled towards the old weights by r, a small share of X'X's mean.

It is the update of second-order pruning, over a whole layer at once (OBC; Frantar and Alistarh
2022), and FSKD's where the layer is a 1x1 convolution (Li et al. 2020). Only sums of products are
kept, so any number of samples fits; of a large map some places of each sample are enough, as
neighbours tell the same.

Layers are fitted in groups, one pass over the samples for each: within a group, inputs are those
from before, so layers that feed each other belong into different groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from whet.errors import RequirementError
from whet.optimize.network.modules import copied

__all__ = ["Fit", "refitted"]

_RIDGE = 1e-5  # of the mean square of what a weight is multiplied with
_PLACES = 64  # of a map that are looked at in each sample

Batches = Callable[[], Iterable[tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]]]
"""The samples, as often as asked for: inputs of the changed network, and of the original."""
_Layer = nn.Linear | nn.modules.conv._ConvNd  # noqa: SLF001 - what all convolutions have in common


@dataclass(frozen=True)
class Fit:
    """What fitting a layer did to its error, as a share of the original's answers' mean square."""

    layer: str
    before: float
    after: float


def refitted(
    module: fx.GraphModule,
    original: nn.Module,
    batches: Batches,
    groups: Sequence[Sequence[str]],
    *,
    kept: Mapping[str, torch.Tensor] | None = None,
    wanted: Mapping[str, str] | None = None,
    ridge: float = _RIDGE,
    seed: int = 0,
) -> tuple[fx.GraphModule, tuple[Fit, ...]]:
    """A copy whose named layers give as nearly as they can what the original's give.

    Args:
        module: the changed network; it stays as it is.
        original: what it was made from, with layers of the same names.
        batches: see `Batches`.
        groups: names of linear layers and convolutions, in the order in which they are fitted.
        kept: the original's output channels that a layer still has, by its name; all by default.
        wanted: the part of the original whose answers a layer shall give, by its name; by default
            the layer of that name.
        ridge: pull towards the weights as they are.
        seed: of the places that are looked at.

    Raises:
        RequirementError: a layer of another kind was named.
    """
    found, fits = copied(module), list[Fit]()
    for names in groups:
        sums = {name: _Sums(found.get_submodule(name), seed) for name in names}
        _gather(found, original, batches, sums, kept or {}, wanted or {})
        fits += [_fitted(name, each, ridge) for name, each in sums.items()]
    return found, tuple(fits)


class _Sums:
    """Sums of products of a layer's inputs and of the original's answers, by group of channels.

    Args:
        layer: whose weights will be fitted.
        seed: of the places.
    """

    def __init__(self, layer: nn.Module, seed: int) -> None:
        if not isinstance(layer, _Layer) or getattr(layer, "transposed", False):
            raise RequirementError(
                f"A {type(layer).__name__} has no weights that can be fitted.",
                "Name linear layers and convolutions.",
            )
        self.layer, self._random = layer, torch.Generator().manual_seed(seed)
        self.groups = layer.groups if not isinstance(layer, nn.Linear) else 1
        wide = layer.weight[0].numel() + (layer.bias is not None)
        tall = len(layer.weight) // self.groups
        self.inputs = torch.zeros(self.groups, wide, wide, dtype=torch.float64)
        self.answers = torch.zeros(self.groups, wide, tall, dtype=torch.float64)
        self.squares = 0.0

    def see(self, value: torch.Tensor, wanted: torch.Tensor) -> None:
        """Take in what the layer takes and what it should give."""
        x, t = self._rows_of(value, wanted)  # (rows, groups, wide), (rows, groups, tall)
        if self.layer.bias is not None:
            x = torch.cat([x, x.new_ones(*x.shape[:2], 1)], 2)
        self.inputs += torch.einsum("rgi,rgj->gij", x, x).double()
        self.answers += torch.einsum("rgi,rgo->gio", x, t).double()
        self.squares += float(t.double().square().sum())

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


def _gather(
    module: nn.Module,
    original: nn.Module,
    batches: Batches,
    sums: Mapping[str, _Sums],
    kept: Mapping[str, torch.Tensor],
    wanted: Mapping[str, str],
) -> None:
    """Run both over the samples, and let each layer see what it takes and should give."""
    taken: dict[str, torch.Tensor] = {}
    given: dict[str, torch.Tensor] = {}

    def take(name: str) -> Callable[..., None]:
        return lambda _, inputs: taken.__setitem__(name, inputs[0])

    def give(name: str) -> Callable[..., None]:
        return lambda _, __, answer: given.__setitem__(name, answer)

    with ExitStack() as hooks, torch.no_grad():
        for name in sums:
            for hook in (
                module.get_submodule(name).register_forward_pre_hook(take(name)),
                original.get_submodule(wanted.get(name, name)).register_forward_hook(give(name)),
            ):
                hooks.callback(hook.remove)
        for own, its in batches():
            original(*its)
            module(*own)
            for name, each in sums.items():
                channel = -1 if isinstance(each.layer, nn.Linear) else 1
                answer = given.pop(name)
                if name in kept:
                    answer = answer.index_select(channel, kept[name])
                each.see(taken.pop(name), answer)


def _fitted(name: str, sums: _Sums, ridge: float) -> Fit:
    """Put the best weights into a layer."""
    layer, groups = sums.layer, sums.groups
    old = layer.weight.detach().double().flatten(1).unflatten(0, (groups, -1))  # (g, tall, wide)
    if layer.bias is not None:
        old = torch.cat(
            [old, layer.bias.detach().double().unflatten(0, (groups, -1))[..., None]], 2
        )
    old = old.mT
    pull = ridge * sums.inputs.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)
    matrix = sums.inputs + torch.diag_embed(pull[:, None].expand(-1, sums.inputs.shape[1]))
    new = torch.linalg.solve(matrix, sums.answers + pull[:, None, None] * old)
    errors = [_error(sums, weights) for weights in (old, new)]
    with torch.no_grad():
        flat = new.mT.flatten(0, 1).to(layer.weight.dtype)
        if layer.bias is not None:
            layer.bias.copy_(flat[:, -1])
            flat = flat[:, :-1]
        layer.weight.copy_(flat.reshape(layer.weight.shape))
    return Fit(name, *errors)


def _error(sums: _Sums, weights: torch.Tensor) -> float:
    """Squared distance of what these weights give from what they should, as a share of that."""
    given: Any = torch.einsum("gio,gij,gjo->", weights, sums.inputs, weights)
    both: Any = (weights * sums.answers).sum()
    return max(0.0, float(given - 2 * both) + sums.squares) / max(sums.squares, 1e-30)

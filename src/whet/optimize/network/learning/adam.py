"""How weights are made to learn: which of them, and in steps of which size."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator

import torch
from torch import nn

__all__ = ["adam", "trainable"]

_LEAST_SIZE = 1e-3  # of a tensor of weights that are nothing, in a layer of such


def adam(module: nn.Module, rate: float) -> torch.optim.Adam:
    """Adam with a step for each tensor of weights in proportion to their size.

    A tensor that is nothing yet, as biases are in the beginning, goes by the others of its layer.

    Args:
        module: inside `trainable`.
        rate: as a share of a tensor's root mean square.
    """
    sizes: dict[nn.Parameter, float] = {}
    for layer in module.modules():
        own = {p: _size(p) for p in layer.parameters(recurse=False) if p.requires_grad}
        largest = max(own.values(), default=0.0)
        sizes |= {p: size or largest for p, size in own.items() if p not in sizes}
    return torch.optim.Adam(
        [{"params": [p], "lr": rate * max(size, _LEAST_SIZE)} for p, size in sizes.items()]
    )


@contextlib.contextmanager
def trainable(module: nn.Module, sparse: Collection[str] = ()) -> Iterator[None]:
    """All weights learn; what they were allowed before comes back, and no gradient stays.

    Args:
        module: whose weights.
        sparse: its layers whose zeros stay; other names are let be.
    """
    weights = [p for p in module.parameters() if p.is_floating_point()]
    before = [p.requires_grad for p in weights]
    for weight in weights:
        weight.requires_grad_(True)
    layers = [layer for name, layer in module.named_modules() if name in sparse]
    hooks = [each.weight.register_hook(_sparing(each.weight.detach() != 0)) for each in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        module.zero_grad(set_to_none=True)
        for weight, was in zip(weights, before, strict=True):
            weight.requires_grad_(was)


def _sparing(stays: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Gradients of what isn't 0; the optimiser takes no step without one."""
    return lambda gradient: gradient * stays


def _size(weight: torch.Tensor) -> float:
    return float(weight.detach().square().mean().sqrt())

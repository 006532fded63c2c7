"""Random weights that a new network begins with.

Weights are drawn by our own rules and not by the library that makes the layers, from a generator of
their own: by He et al. (2015) for convolutions, by Glorot and Bengio (2010) for linear layers. So
they are the same bit for bit for one seed, whichever version of the library there is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["draw"]


def draw(module: nn.Module, random: torch.Generator) -> None:
    """Draw all weights, in the order of the layers.

    Args:
        module: whose layers get other weights; tensors of none of these kinds keep theirs.
        random: moves on by what is drawn.
    """
    init: Any = nn.init
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=random)
        elif isinstance(layer, nn.Linear):
            init.xavier_uniform_(layer.weight, generator=random)
        elif isinstance(layer, nn.Embedding):
            init.normal_(layer.weight, std=layer.embedding_dim**-0.5, generator=random)
        elif isinstance(layer, _BatchNorm):
            # Some configurations state the share that stays, others that which is new.
            layer.momentum = 0.1
            layer.reset_running_stats()
            init.ones_(layer.weight)
        if isinstance(getattr(layer, "bias", None), nn.Parameter):
            init.zeros_(layer.bias)

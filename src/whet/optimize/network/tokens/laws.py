"""What has to hold of a network for its tokens to be merged, found by numbers; nothing is known by name.

- *Order.* Behind the first block, tokens may stand in any order, but for a few at the beginning
  that are read alone: a class token, one to be distilled by. Positions that attention itself adds,
  convolutions over tokens, and an answer for each token break it.
- *Alike.* Tokens that are alike may be merged, and the answers stay as they are but for rounding.

Both are tried on tokens drawn at random, about as large as those of an example.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import fx

from whet.errors import RequirementError
from whet.optimize.network.structure.walk import Walk
from whet.optimize.network.tokens.attention import Attention
from whet.optimize.network.tokens.behind import with_fewer_tokens
from whet.optimize.network.tokens.merging import most_fewer

__all__ = ["first_tokens", "need_alike_to_merge"]

_MOST_FIRST = 8  # a class token, one to be distilled by, registers
_OFF, _ROUNDED = 1e-3, 1e-5  # of how answers differ from row to row, and of the largest
_SEED = 0

_Answers = list[torch.Tensor]


def first_tokens(
    module: fx.GraphModule, inputs: tuple[torch.Tensor, ...], attention: Attention
) -> int:
    """How many tokens at the beginning are read alone, so that they have to stay there.

    Args:
        module: the network.
        inputs: an example, of two rows or more.
        attention: the first block behind which tokens are merged.

    Raises:
        RequirementError: the order of all tokens matters.
    """
    name = attention.block.span.exit
    walk = Walk(module, [inputs])
    tokens = _drawn(walk.at(name)[0])
    wanted = _from(walk, name, tokens)
    for first in range(min(_MOST_FIRST, tokens.shape[1] - 2) + 1):
        if _near(_from(walk, name, _moved(tokens, first)), wanted):
            return first
    raise RequirementError(
        "What the network answers depends on the order of its tokens behind"
        f" '{attention.block.name}': there is an answer for each, or they are treated by where they"
        " stand.",
        "Leave its tokens as they are.",
    )


def need_alike_to_merge(
    module: fx.GraphModule, inputs: tuple[torch.Tensor, ...], attention: Attention, first: int
) -> None:
    """Refuse a network whose answers change when tokens that are alike are merged.

    Args:
        module: the network.
        inputs: an example, of two rows or more.
        attention: the first block behind which tokens are merged.
        first: tokens that stay as they are.

    Raises:
        RequirementError: they change, or the network can't be written for fewer tokens.
    """
    entry = attention.block.span.entry or ""
    walk = Walk(module, [inputs])
    tokens = _drawn(walk.at(entry)[0])
    fewer = most_fewer(tokens.shape[1], first)
    takers = slice(first + 1, first + 2 * fewer, 2)
    tokens[:, first : first + 2 * fewer : 2] = tokens[:, takers]
    changed = Walk(with_fewer_tokens(module, inputs, {attention: fewer}, first), [inputs])
    changed.at(entry)
    if not _near(_from(changed, entry, tokens), _from(walk, entry, tokens)):
        raise RequirementError(
            "The network weighs its tokens in a way that isn't known: where some that are alike are"
            " merged, it answers something else.",
            "Leave its tokens as they are.",
        )


def _drawn(like: torch.Tensor) -> torch.Tensor:
    random = torch.Generator().manual_seed(_SEED)
    spread, mean = like.std().clamp_min(1e-6), like.mean()
    return torch.randn(like.shape, generator=random, dtype=like.dtype) * spread + mean


def _moved(tokens: torch.Tensor, first: int) -> torch.Tensor:
    """Each token but the first ones somewhere else."""
    random = torch.Generator().manual_seed(_SEED)
    order = torch.randperm(tokens.shape[1] - first, generator=random) + first
    places = torch.arange(tokens.shape[1])
    places[order] = order.roll(1)
    return tokens[:, places]


def _from(walk: Walk, name: str, value: torch.Tensor) -> _Answers:
    """What is answered where a value is this."""
    fork = walk.fork()
    fork.put(name, [value])
    return [each for each in fork.answers()[0] if each.is_floating_point()]


def _near(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> bool:
    for own, its in zip(found, wanted, strict=True):
        most = _OFF * (its - its.mean(0)).abs().max() + _ROUNDED * its.abs().max()
        if own.shape != its.shape or not bool(((own - its).abs() <= most).all()):
            return False
    return True

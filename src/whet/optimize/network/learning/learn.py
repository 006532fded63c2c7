"""A block taught by gradients to give what the original's gives.

Adam on the squared distance, as a share of what is wanted, with a step size that falls to nothing.
Every eighth batch is held out; the weights that did best on those are kept, those from before among
them, so that nothing gets worse by it.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from whet.optimize.network.learning.adam import adam, trainable

__all__ = ["Pair", "learnt"]

_RATE = 1e-3  # of the root mean square of a weight's tensor
_LOOKS = 8  # at what is held out
_HELD = 8  # every so many batches, one is held out


@dataclass(frozen=True)
class Pair:
    """One batch at a block.

    Attributes:
        taken: what the changed network's block takes.
        given: what the original's takes.
        answer: what the original's gives, of the channels that the changed one still has.
    """

    taken: tuple[torch.Tensor, ...]
    given: tuple[torch.Tensor, ...]
    answer: torch.Tensor


def learnt(
    part: nn.Module, pairs: Sequence[Pair], *, steps: int, seed: int, sparse: Collection[str] = ()
) -> None:
    """Change a block's weights in place.

    Args:
        part: the block; its batch norms stay as they are.
        pairs: what it takes and should give.
        steps: one batch each.
        seed: of their order.
        sparse: layers whose zeros stay.
    """
    held = pairs[::_HELD] if len(pairs) > 1 else pairs
    learning = [pair for place, pair in enumerate(pairs) if place % _HELD] or list(pairs)
    random = torch.Generator().manual_seed(seed)
    best, kept = _error(part, held), copy.deepcopy(part.state_dict())
    with trainable(part, sparse):
        optimiser = adam(part, _RATE)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for step in range(steps):
            pair = learning[int(torch.randint(len(learning), (), generator=random))]
            optimiser.zero_grad()
            _distance(part, pair).backward()
            optimiser.step()
            falling.step()
            if (step + 1) % max(1, steps // _LOOKS) == 0 and (error := _error(part, held)) < best:
                best, kept = error, copy.deepcopy(part.state_dict())
    part.load_state_dict(kept)


def _distance(part: nn.Module, pair: Pair) -> torch.Tensor:
    found: torch.Tensor = part(*pair.taken)
    return (found - pair.answer).square().mean() / pair.answer.square().mean().clamp_min(1e-30)


def _error(part: nn.Module, pairs: Sequence[Pair]) -> float:
    with torch.no_grad():
        return sum(float(_distance(part, pair)) for pair in pairs) / len(pairs)

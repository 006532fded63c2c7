"""Tokens that are alike made one, as a module (Bolya et al. 2023, "Token Merging", ToMe).

Bipartite soft matching: every other token is a giver, the rest are takers. Each giver's partner is
the taker that it is most like, by the cosine of their keys; the givers that are likest theirs are
merged into them. No token is compared with all, nothing is sorted but one score for each giver, and
how many are left doesn't depend on what is looked at, so the graph has fixed sizes.

A merged token is the mean of all that went into it, so each has a size: how many it stands for.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Merging", "most_fewer"]

_LEAST = 1e-12  # of a key's squared length


def most_fewer(tokens: int, first: int) -> int:
    """How many tokens can be merged into others at once.

    Args:
        tokens: that there are.
        first: of them that stay as they are.
    """
    return max(0, tokens - first) // 2


# torch is not typed for our checker (see pyproject), so its base class is "Any" to it.
class Merging(nn.Module):  # type: ignore[misc]
    """Merges a fixed number of tokens into others.

    Args:
        fewer: tokens that are merged into others, at most `most_fewer`.
        first: tokens at the beginning that stay as they are, such as the class token.
    """

    def __init__(self, fewer: int, first: int) -> None:
        super().__init__()
        self.fewer, self.first = fewer, first

    def forward(
        self, tokens: torch.Tensor, keys: torch.Tensor, sizes: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Merge.

        Args:
            tokens: (rows, tokens, channels).
            keys: (rows, tokens, width), by which they are alike.
            sizes: (rows, tokens, 1), how many each stands for; one, by default.

        Returns:
            The first tokens, the takers, and the givers that are left; and their sizes.
        """
        sizes = torch.ones_like(tokens[..., :1]) if sizes is None else sizes
        keys = keys[:, self.first :]
        keys = keys * (keys.square().sum(-1, keepdim=True) + _LEAST).rsqrt()
        givers, takers = keys[:, ::2], keys[:, 1::2]
        # The best of one, and no maximum: its sizes are known to what reads the graph.
        likeness, partner = (each[..., 0] for each in (givers @ takers.transpose(1, 2)).topk(1))
        order = likeness.topk(likeness.shape[1]).indices
        go, stay = order[:, : self.fewer], order[:, self.fewer :]
        to = _picked(partner, go)
        go, stay = (self.first + 2 * each for each in (go, stay))  # among all tokens
        given = _picked(sizes, go)
        together = self._with(sizes, to, given)
        summed = self._with(tokens * sizes, to, _picked(tokens, go) * given)
        return (
            torch.cat([tokens[:, : self.first], summed / together, _picked(tokens, stay)], 1),
            torch.cat([sizes[:, : self.first], together, _picked(sizes, stay)], 1),
        )

    def _with(self, values: torch.Tensor, to: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """The takers' values, with what is given added to those that it goes to."""
        places = to.unsqueeze(-1).expand(-1, -1, values.shape[-1])
        return values[:, self.first + 1 :: 2].scatter_add(1, places, given)


def _picked(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Of (rows, tokens, ...) the tokens at these places of each row, (rows, places).

    All rows are laid out as one axis, since runtimes gather whole tokens faster than single
    elements, and their tools can tell the sizes of what comes out.
    """
    rows, count = values.shape[:2]
    begin = count * torch.arange(rows, device=values.device).unsqueeze(1)
    found = values.flatten(0, 1).index_select(0, (begin + places).flatten())
    return found.unflatten(0, (rows, places.shape[1]))

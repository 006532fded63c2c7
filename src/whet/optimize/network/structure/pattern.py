"""Where zeros may lie among the weights of a layer; pure."""

from __future__ import annotations

import enum

import torch

__all__ = ["Pattern", "follows", "spared"]

_FOUR, _TWO = 4, 2


class Pattern(enum.StrEnum):
    """Where zeros may lie.

    Attributes:
        ANY: anywhere.
        TWO_OF_FOUR: two or more among each four neighbours.
    """

    ANY = "any"
    TWO_OF_FOUR = "2:4"


def spared(weight: torch.Tensor, pattern: Pattern) -> str | None:
    """Why a layer's weights can't have a pattern; ``None`` where they can."""
    if weight[0].numel() < _FOUR:
        return "It stays dense: each output has fewer than four weights."
    if pattern is Pattern.TWO_OF_FOUR and weight.shape[1] % _FOUR:
        return "It stays dense: its channels can't be told off in fours."
    return None


def follows(weight: torch.Tensor, pattern: Pattern) -> bool:
    """Whether a layer's weights have the pattern; any zero will do where they may lie anywhere."""
    zeros = weight.flatten(2) == 0 if weight.dim() > 2 else (weight == 0)[..., None]
    if pattern is Pattern.ANY:
        return bool(zeros.any())
    fours = zeros.unflatten(1, (-1, _FOUR)).sum(2)
    return bool((fours >= _TWO).all())

"""How far answers are from the original's, without labels: the damage that all entries share.

For scores of classes it is the mean divergence (Kullback-Leibler) from the original's shares to
those that are left; for any other answer the squared distance, as a share of what the original's
answers vary by.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

__all__ = ["Answers", "damage"]

Answers = Sequence[Sequence[torch.Tensor]]
"""Of each batch the tensors that a network gives, as `whet.optimize.network.structure.walk` ends with."""


def damage(original: Answers, changed: Answers, *, classes: bool) -> float:
    """The damage of answers, summed over the outputs.

    Args:
        original: what the original answers.
        changed: what is answered now, on the same rows.
        classes: whether the first output holds scores of classes, which alone count then.
    """
    total = 0.0
    floats = [i for i, tensor in enumerate(original[0]) if tensor.is_floating_point()]
    for place in floats[:1] if classes else floats:
        pairs = [(a[place], b[place]) for a, b in zip(original, changed, strict=True)]
        total += _divergence(pairs) if classes else _distance(pairs)
    return total


def _divergence(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> float:
    summed, rows = 0.0, 0
    for wanted, found in pairs:
        own, its = (functional.log_softmax(t.flatten(0, -2), -1) for t in (found, wanted))
        summed += float(functional.kl_div(own, its, reduction="sum", log_target=True))
        rows += len(own)
    return summed / rows


def _distance(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Batches may differ in their lengths, so each is compared by itself."""
    off = sum(float((found - wanted).double().square().sum()) for wanted, found in pairs)
    varied = sum(
        float((wanted - wanted.mean(0, keepdim=True)).double().square().sum())
        for wanted, _ in pairs
    )
    return off / max(varied, 1e-30)

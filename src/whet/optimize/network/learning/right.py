"""The right classes of samples, for a network that learns from them beside what teaches it.

What the original answers wrongly it would teach wrongly. Where labels are known, a network that was
changed learns them too, and can end nearer to the truth than the original is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from whet.core.context import Context
from whet.core.spec import Signature
from whet.errors import RequirementError
from whet.measure.metrics import class_labels

__all__ = ["Right", "right_of"]

_LEAST_SHARE, _ROUNDING = 1e-7, 1e-3


@dataclass(frozen=True)
class Right:
    """The right class of each row that is learnt from.

    Attributes:
        place: of the scores among the network's answers.
        classes: (rows,).
    """

    place: int
    classes: NDArray[np.int64]

    def at(self, rows: NDArray[np.integer]) -> torch.Tensor:
        """The classes of some rows."""
        return torch.from_numpy(self.classes[rows])

    def off(self, scores: torch.Tensor, classes: torch.Tensor, mixed: float) -> torch.Tensor:
        """How far scores are from the right classes: their cross entropy, in nats.

        Args:
            scores: (n, classes), with further axes of one.
            classes: (n,).
            mixed: of each row its own share, the rest is of the row that
                `whet.optimize.network.learning.views` mixed with it.
        """
        scores = scores.float().flatten(1)
        told = scores.clamp_min(_LEAST_SHARE).log() if _are_shares(scores) else scores
        own = functional.cross_entropy(told, classes)
        if mixed == 1:
            return own
        return mixed * own + (1 - mixed) * functional.cross_entropy(told, classes.flip(0))


def right_of(ctx: Context, signature: Signature, output: str) -> Right | None:
    """The right classes of what a network learns from; ``None`` where no output is named.

    Args:
        ctx: with labels.
        signature: of the network.
        output: that holds scores of classes; empty where labels aren't to be learnt.

    Raises:
        RequirementError: there are no labels, no such output, or it holds no scores of classes.
        SamplesError: labels that are no classes of it.
    """
    if not output:
        return None
    names = [spec.name for spec in signature.outputs]
    if ctx.labels is None:
        raise RequirementError(
            "The samples to learn from have no labels.", "Give some, or leave 'labels' out."
        )
    if output not in names:
        raise RequirementError(
            f"There is no output '{output}' that labels could be of.",
            f"The outputs are {', '.join(names)}.",
        )
    shape = signature.outputs[names.index(output)].shape
    count = shape[1] if len(shape) > 1 else 1
    # One class is none.
    if not isinstance(count, int) or count < 2 or any(size != 1 for size in shape[2:]):
        raise RequirementError(
            f"The output '{output}' of shape {shape} holds no scores of classes.",
            "Leave 'labels' out.",
        )
    return Right(names.index(output), class_labels(ctx.labels, count, len(ctx.labels)))


def _are_shares(scores: torch.Tensor) -> bool:
    """Whether they are probabilities: none below 0, a sum of 1 in each row."""
    return bool((scores >= 0).all() and ((scores.sum(dim=1) - 1).abs() < _ROUNDING).all())

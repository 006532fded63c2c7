"""How far outputs moved, without labels; pure numpy."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays

__all__ = ["Damage", "divergence", "measure", "squared_error"]


class Damage(enum.StrEnum):
    """A measure of damage."""

    SQUARED = "squared"  # share of the outputs' variance that the error makes up
    DIVERGENCE = "divergence"  # Kullback-Leibler divergence of the softmax, in nats per row


def measure(kind: Damage, reference: Sequence[Arrays], got: Sequence[Arrays]) -> float:
    """Damage over rows that ran one at a time, averaged over the outputs.

    Outputs whose shape differs from row to row (a sequence) are compared value
    by value; only outputs of one shape can be centred.
    """
    names = list(reference[0])
    function: Callable[[NDArray[np.float64], NDArray[np.float64]], float] = (
        divergence if kind is Damage.DIVERGENCE else squared_error
    )
    scores = []
    for name in names:
        wants, gots = _rows(reference, name), _rows(got, name)
        same = len({row.shape for row in wants}) == 1
        if same:
            scores.append(function(np.stack(wants), np.stack(gots)))
        else:
            flat = np.concatenate(wants)[:, None], np.concatenate(gots)[:, None]
            scores.append(squared_error(*flat))
    return float(np.mean(scores))


def _rows(
    outputs: Sequence[Mapping[str, NDArray[np.generic]]], name: str
) -> list[NDArray[np.float64]]:
    return [np.asarray(row[name], dtype=np.float64).reshape(-1) for row in outputs]


def squared_error(reference: NDArray[np.float64], got: NDArray[np.float64]) -> float:
    """Squared error over the variance of the reference around its mean row.

    Centred, because a constant part that all rows share (a bias, a prior) would
    hide any error. A reference that never varies is compared with its own size.

    Args:
        reference: (rows, values).
        got: the same shape.
    """
    error = float(np.sum((got - reference) ** 2))
    spread = float(np.sum((reference - reference.mean(axis=0)) ** 2))
    if spread <= 1e-12 * float(np.sum(reference**2)):
        spread = float(np.sum(reference**2))
    if not np.isfinite(error):
        return float("inf")
    return error / spread if spread > 0 else (0.0 if error == 0 else float("inf"))


def divergence(reference: NDArray[np.float64], got: NDArray[np.float64]) -> float:
    """Mean over rows of KL(softmax(reference) || softmax(got)), in nats."""
    if not np.all(np.isfinite(got)):
        return float("inf")
    wants, gots = _log_softmax(reference), _log_softmax(got)
    return max(0.0, float(np.mean(np.sum(np.exp(wants) * (wants - gots), axis=1))))


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    normal: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return normal

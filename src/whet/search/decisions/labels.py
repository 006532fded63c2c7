"""Whether labels name the network's own classes, as those that it is judged by do; pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whet.errors import SamplesError
from whet.measure.metrics import class_labels, predictions

__all__ = ["LABELLED", "share_right", "too_seldom_right"]

LABELLED = frozenset({"top1", "top5"})
"""Metrics by which a label is the number of the right class."""

_LEAST = 0.75  # of how often the original is right on what judges


def share_right(scores: NDArray[np.generic], labels: NDArray[np.generic] | None) -> float | None:
    """How often the original's first class is the label's.

    Args:
        scores: the original's, (n, classes), maybe with further axes of one.
        labels: of the same samples.

    Returns:
        ``None`` where the output holds no scores of classes or the labels are none of them.
    """
    rows = scores.reshape(len(scores), -1)
    if labels is None or rows.shape[1] < 2 or rows.shape[1] != scores.shape[1]:  # one class is none
        return None
    try:
        wanted = class_labels(labels, rows.shape[1], len(rows))
    except SamplesError:
        return None
    return float((predictions(rows) == wanted).mean())


def too_seldom_right(learnt: float, judged: float) -> bool:
    """Whether labels to learn from seem to name other classes than those that judge.

    A network is right about as often on both; where folders of classes are missing or labels are
    shifted, it is hardly ever right.

    Args:
        learnt: how often the original is right by the labels to learn from.
        judged: by those that judge.
    """
    return learnt < _LEAST * judged

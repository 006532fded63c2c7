"""Where a constant answer would nearly keep the floor, the judged output is guarded too.

Theory of operation. A metric may hardly see whether an answer follows its input: class scores
that are all positive, or an embedding with a large offset, have a cosine near 1 with their own
mean; a classifier of rare faults agrees with "no fault" on 99 of 100 samples. There a floor
of 1 % lets a destroyed output pass. So the best constant answer is scored as well. What is
to be kept is a multiple `m` of the gap to it:

    a candidate loses at most 1/m of what the constant loses.

Where the constant loses more than m times the drop allowed, the floor says that already. Where
it loses less, the output is also held to the original's by the distance of
`whet.measure.guards`, in which the mean answer costs 1/2, so that 1/(2m) is allowed. For
vectors of one length both rules meet: with D the constant's loss of cosine, the variance is
about 2D, and a cosine lost of D/m is a distance of D/m / 2D.

Whole numbers and booleans under `closeness` are always held: of a flag that is rarely set, "never" is
right nearly always.

A cosine of something else than a row (boxes and scores by anchor, a map) is one figure for several
units, and what it sees are the largest: such an output is always held, each number by its own
variation.

m is 10 where the original is the only truth, and 2 where labels say what an answer is worth
(an answer may then move far from the original's for the better).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import OutputCheck
from whet.measure.chunks import row_chunks
from whet.measure.guards import hold
from whet.measure.masks import masks_of
from whet.measure.metrics import logits_of, predictions, unit_rows
from whet.measure.scoring import Answers

__all__ = ["constant_loss", "guard_judged"]

Floats = NDArray[np.float64]

_ROWS = 2  # axes of an output that is one row a sample
_UNLABELLED = 10.0
_LABELLED = 2.0
_MARGINS = {
    "cosine": _UNLABELLED,
    "closeness": _UNLABELLED,
    "agreement": _UNLABELLED,
    "top1": _LABELLED,
    "top5": _LABELLED,
    "f1": _LABELLED,
    "mae": _LABELLED,
}
# A constant has no rank correlation, and costs all of the closeness of real numbers; what a user's
# function sees is the user's affair.


def guard_judged(
    metric: str, name: str, answers: Answers, reference: float, allowed: float
) -> OutputCheck | None:
    """Hold the judged output to the original's where the metric would hardly miss it.

    Args:
        metric: concrete.
        name: of the output.
        answers: to judge.
        reference: the original's value of the metric.
        allowed: the drop allowed, in the metric's units.

    Returns:
        The check, or ``None`` where the floor by itself tells enough.
    """
    margin = _MARGINS.get(metric)
    whole = answers.reference.dtype.kind in "iub"
    if margin is None or (metric == "closeness" and not whole):
        return None
    # A class that is nearly always the same is mostly right as a constant: its share tells little.
    held = metric == "closeness" or (metric == "cosine" and answers.reference.ndim > _ROWS)
    if not held and constant_loss(metric, answers, reference) > margin * allowed:
        return None
    return hold(
        name,
        answers.reference,
        answers.candidate,
        rows=answers.rows_per_sample,
        allowed=allowed if metric == "closeness" else 1 / (2 * margin),
        confidence=answers.confidence,
        rule="constant",
        classes=metric == "closeness",
    )


def constant_loss(metric: str, answers: Answers, reference: float) -> float:
    """The drop of the best constant answer, in the metric's units.

    Args:
        metric: one that a constant can be good at.
        answers: of which the original's and the labels are read.
        reference: the original's value of the metric.
    """
    return _LOSSES[metric](answers, reference)


def _cosine(a: Answers, reference: float) -> float:
    """The mean of the rows, each of length 1, has the highest mean cosine with them: its length."""
    total = np.zeros(int(np.prod(a.reference.shape[1:], dtype=np.int64)))
    parts = [a.reference[part] for part in row_chunks(a.reference)]
    masks = masks_of(parts)
    for part in parts:
        rows = part.reshape(len(part), -1)
        total += unit_rows(np.where(masks.known(rows), rows, 0)).sum(axis=0)
    return reference - float(np.linalg.norm(total)) / len(a.reference)


def _mae(a: Answers, reference: float) -> float:
    """The median of the labels has the smallest mean error."""
    labels = a.known("mae").astype(np.float64)
    return float(np.abs(labels - np.median(labels)).mean()) - reference


def _agreement(a: Answers, reference: float) -> float:
    return reference - float(_shares(predictions(logits_of(a.reference)))[0])


def _top(k: int) -> Callable[[Answers, float], float]:
    def loss(a: Answers, reference: float) -> float:
        return reference - float(_shares(a.known(f"top{k}"))[:k].sum())

    return loss


def _f1(a: Answers, reference: float) -> float:
    """F1 of the class that is always said, p of the samples, is 2p/(1 + p); of others it is 0."""
    labels, classes = a.known("f1"), logits_of(a.reference).shape[1]
    share = float((labels == 1).mean()) if classes == 2 else float(_shares(labels)[0])
    scored = 1 if classes == 2 else len(np.unique(labels))
    return reference - 2 * share / (1 + share) / scored


def _shares(classes: NDArray[np.generic]) -> Floats:
    """Shares of the classes, the most frequent first."""
    counts = np.sort(np.unique(classes, return_counts=True)[1])[::-1]
    shares: Floats = counts / len(classes)
    return shares


_LOSSES: dict[str, Callable[[Answers, float], float]] = {
    "cosine": _cosine,
    "agreement": _agreement,
    "top1": _top(1),
    "top5": _top(5),
    "f1": _f1,
    "mae": _mae,
}

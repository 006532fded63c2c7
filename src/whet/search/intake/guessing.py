"""Whether the original itself is any good, and what is guessed of its output without labels; pure.

A network that is no better than always naming the most frequent class can't lose
quality, so every floor is kept by anything. That happens where weights were
forgotten, labels are shifted by one or the transform is wrong; none of it shows in a
difference between two equally bad networks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Quality
from whet.core.note import Note
from whet.measure.statistics import binomial_lower

__all__ = [
    "WARNING",
    "WHERE",
    "guess_share",
    "no_better_than_guessing",
    "original_notes",
    "unlabelled_notes",
]

WHERE = "original"
WARNING = "chance"
_METRIC = "metric"
_CONFIDENCE = 0.95
_TOP = {"top1": 1, "top5": 5}
_NAMES = {"top1": "top-1", "top5": "top-5"}
_TAKEN = {
    "agreement": "'agreement' asks that the first choice be the original's.",
    "cosine": (
        "'cosine' asks that each answer point where the original's does; it sees no scale. If"
        " the numbers themselves count, give --metric closeness."
    ),
    "closeness": (
        "nothing says what the output means, so 'closeness' holds each of its numbers to the"
        " original's, relative to how much that number varies. Integer arithmetic rarely keeps"
        " 1 % of it: if only the first choice counts, give --metric agreement; for embeddings,"
        " --metric cosine. Labels say most."
    ),
}


def guess_share(metric: str, labels: NDArray[np.generic] | None, classes: int) -> float | None:
    """What the best constant guess scores; ``None`` where the metric knows no such guess.

    Args:
        metric: ``"top1"`` or ``"top5"``; others have no such guess.
        labels: class indices of the samples.
        classes: of the network; a guess scores at least one of so many.
    """
    top = _TOP.get(metric)
    if top is None or labels is None or labels.size == 0 or labels.dtype.kind not in "iu":
        return None
    counts = np.sort(np.unique(labels, return_counts=True)[1])[::-1]
    return max(float(counts[:top].sum()) / labels.size, min(1.0, top / max(1, classes)))


def no_better_than_guessing(original: Quality, guess: float) -> bool:
    """Whether the score's one-sided bound (Clopper-Pearson, 95 %) doesn't lie above the guess."""
    right = round(original.reference * original.n)
    return binomial_lower(right, original.n, _CONFIDENCE) <= guess


def original_notes(original: Quality, guess: float | None) -> tuple[Note, ...]:
    """The original's own score, and a warning where guessing does as well.

    Args:
        original: judged against itself, with labels.
        guess: from `guess_share`; ``None`` gives only the score of a labelled metric.
    """
    if original.metric not in _NAMES:
        return ()
    score = f"{_NAMES[original.metric]} {original.reference:.1%}".replace("%", " %")
    found = f"{score} on {original.n:,} of the select samples, before anything is changed."
    if guess is None or not no_better_than_guessing(original, guess):
        return (Note(WHERE, found),)
    always = f"{guess:.1%}".replace("%", " %")
    warning = (
        f"The original is not above chance: always naming the most frequent class scores {always}."
        " A network without quality can't lose any, so the floor proves nothing. Check the"
        " weights (--weights), the labels (--label-offset, the order of the classes) and the"
        " transform."
    )
    return (Note(WHERE, found), Note(WARNING, warning))


def unlabelled_notes(asked: str, metric: str, *, labelled: bool) -> tuple[Note, ...]:
    """How the output is judged where neither labels nor a metric say it.

    Args:
        asked: the contract's metric.
        metric: the concrete one.
        labelled: whether there are labels.
    """
    if labelled or asked != "auto":
        return ()
    return (Note(_METRIC, f"Without labels or a named metric, {_TAKEN[metric]}"),)

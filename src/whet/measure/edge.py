"""How many answers of other samples would change, told from how far those seen have moved.

Of a few hundred samples a good candidate changes three answers, and that count is mostly
luck: of two candidates that do equal harm, one shows two and the other seven. But the
harm shows in every sample: each has a margin, its class's score less the best of the others,
and in each the candidate moves it a little. An answer turns where the margin moves by more
than the margin is wide. So the share to expect is the share of all pairs (margin of one
sample, movement of another) that would turn: the mean over the samples' own chances in
place of a count of what happened (Rao-Blackwell), with the movements seen as their distribution.

Scores that all shrink or grow by one factor turn nothing, so the factor that fits best is
taken out: what moves an answer is what is left. That grows with the scores, so only samples
about as near to the edge are taken. Of probabilities the logarithms are compared: their
differences are those of the logits that they came from, whereas shares move little near 0 and 1
and most on the edge, so that the movements elsewhere say too little of it. Like a count it is an
estimate; it orders candidates and plans, and proves nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Changes
from whet.measure.chunks import row_chunks
from whet.measure.metrics import are_shares

__all__ = ["expected_changes", "margins", "told_changes"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

_NEAR = 0.5  # share of the samples whose movements stand for those of answers on the edge


def told_changes(
    before: Array, after: Array, labels: NDArray[np.int64], k: int = 1
) -> Changes | None:
    """The shares of hits lost and gained to expect of other samples; ``None`` if nothing tells.

    Nothing does where no score is finite, or where shares are answers rather than scores
    (0 and 1): they have no margins.

    Args:
        before: (n, classes) logits or probabilities of the original.
        after: the candidate's, of the same samples.
        labels: (n,) class numbers.
        k: of top-k.
    """
    least = max(_least(before), _least(after)) if are_shares(before) else None
    if least is not None and least >= 1 / before.shape[-1]:
        return None
    return expected_changes(*(margins(scores, labels, k, least) for scores in (before, after)))


def _least(shares: Array) -> float:
    """The smallest share above 0: what is 0 lies below it, nobody knows how far."""
    least = 1.0
    for part in row_chunks(shares):
        rows = shares[part].astype(np.float64)
        least = min(least, float(rows.min(initial=1.0, where=rows > 0)))
    return least


def margins(
    logits: Array, labels: NDArray[np.int64], k: int = 1, least: float | None = None
) -> Floats:
    """Each row's score of its label, less the ``k``-th best of the others: above 0 it is a hit.

    Args:
        logits: (n, classes); more classes than ``k``.
        labels: (n,) class numbers.
        k: of top-k.
        least: where the scores are shares, what smaller ones count as; their logarithms are
            taken.
    """
    parts = []
    for part in row_chunks(logits):
        rows = logits[part].astype(np.float64)
        if least is not None:
            rows = np.log(np.maximum(rows, least))
        wanted = labels[part, None]
        own = np.take_along_axis(rows, wanted, axis=1)[:, 0]
        np.put_along_axis(rows, wanted, -np.inf, axis=1)
        parts.append(own - np.partition(rows, -k, axis=1)[:, -k])
    return np.concatenate(parts) if parts else np.zeros(0)


def expected_changes(before: Floats, after: Floats) -> Changes | None:
    """The shares of hits lost and gained to expect of other samples; ``None`` without finite ones.

    Args:
        before: (n,) margins of the original.
        after: (n,) those of the candidate, of the same samples.
    """
    finite = np.isfinite(before) & np.isfinite(after)
    if not finite.any():
        return None
    margin, moved = before[finite], after[finite]
    near = np.abs(margin) <= np.quantile(np.abs(margin), _NEAR)
    square = float(margin[near] @ margin[near])
    scale = float(margin[near] @ moved[near]) / square if square > 0 else 1.0
    movements = np.sort(moved[near] - scale * margin[near])
    # The share of movements that would bring each margin to 0 or below.
    falls = np.searchsorted(movements, -scale * margin, side="right") / len(movements)
    right = margin > 0
    n = len(margin)
    return Changes(float(falls[right].sum() / n), float((1 - falls)[~right].sum() / n))

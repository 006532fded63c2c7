"""Metrics that only a whole set of samples has, written for many resamples at once.

A resample is a row of weights: how often each sample (or cell of equal samples) was drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["F1Cells", "SpearmanRanks", "spearman"]

Floats = NDArray[np.float64]


class SpearmanRanks:
    """Weighted mid-ranks of fixed values: what a resample needs, without sorting again.

    A weight is how often a value was drawn; its copies are ties, and so are equal values.
    """

    def __init__(self, values: Floats) -> None:
        self._order = np.argsort(values, kind="stable")
        ordered = values[self._order]
        new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        self._starts = np.flatnonzero(new)
        self._group = np.empty(len(values), np.intp)
        self._group[self._order] = np.cumsum(new) - 1

    def __call__(self, weights: Floats) -> Floats:
        """Ranks (rows, n), centred, from weights (rows, n)."""
        drawn = np.add.reduceat(weights[:, self._order], self._starts, axis=1)
        middle = np.cumsum(drawn, axis=1) - drawn / 2
        ranks: Floats = middle[:, self._group] - weights.sum(axis=1, keepdims=True) / 2
        return ranks


def spearman(a: Floats, b: Floats, weights: Floats) -> Floats:
    """Weighted correlation (rows,) of centred ranks ``a`` and ``b``; 0 where one is constant."""
    covariance = np.einsum("rn,rn,rn->r", weights, a, b)
    spread = np.einsum("rn,rn,rn->r", weights, a, a) * np.einsum("rn,rn,rn->r", weights, b, b)
    correlation: Floats = np.zeros(len(a))
    np.divide(covariance, np.sqrt(spread), out=correlation, where=spread > 0)
    return correlation


class F1Cells:
    """Macro F1 of two models from counts of (label, original's answer, candidate's answer).

    With two classes it is the F1 of class 1. Classes without a label are left out of the mean.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        reference: NDArray[np.int64],
        candidate: NDArray[np.int64],
        classes: int,
    ) -> None:
        triples = np.stack([labels, reference, candidate], axis=1)
        cells, counts = np.unique(triples, axis=0, return_counts=True)
        self.counts: NDArray[np.int64] = counts.astype(np.int64)
        self._scored = np.array([1]) if classes == 2 else np.unique(labels)
        label, ref, cand = (cells[:, [column]] == self._scored for column in range(3))
        self._labelled = label.astype(np.float64)
        self._reference = (label & ref).astype(np.float64), ref.astype(np.float64)
        self._candidate = (label & cand).astype(np.float64), cand.astype(np.float64)

    def _f1(self, weights: Floats, hits_and_said: tuple[Floats, Floats]) -> Floats:
        hits, said = (weights @ table for table in hits_and_said)
        whole = weights @ self._labelled + said
        # A class that a resample lost altogether scores 0 for both models alike.
        each = np.divide(2 * hits, whole, out=np.zeros_like(hits), where=whole > 0)
        mean: Floats = each.mean(axis=1)
        return mean

    def scores(self, weights: Floats) -> tuple[Floats, Floats]:
        """F1 (rows,) of the original and of the candidate, from weights (rows, cells)."""
        return self._f1(weights, self._reference), self._f1(weights, self._candidate)

    def drop(self, weights: Floats) -> Floats:
        """The drop (rows,) of F1."""
        before, after = self.scores(weights)
        return before - after

    def drop_of(self, lost: float) -> float:
        """The drop if ``lost`` right answers were wrong, where that costs most.

        All are said to be one class, which suffers from that, and are taken from the others:
        from those that lose most by each, the next ones once a class has no right answers left
        (what a class loses is convex in how many are taken, so that its chord bounds it from
        above, and a knapsack of chords is filled in that order). Spread evenly they would hide
        that a rare class may be lost altogether.
        """
        weights = self.counts[None].astype(np.float64)
        hits, said = ((weights @ table)[0] for table in self._reference)
        whole = (weights @ self._labelled)[0] + said
        own = 2 * hits / np.maximum(whole, 1e-300)
        moved = np.minimum(hits, lost)
        # An answer that is taken away is no longer said either.
        less = own - 2 * (hits - moved) / np.maximum(whole - moved, 1e-300)
        each = np.divide(less, moved, out=np.zeros_like(less), where=moved > 0)
        swamped = own - 2 * hits / np.maximum(whole + lost, 1e-300)
        if len(own) == 1:  # of two classes one counts: it loses its own, or is said too often
            return float(max(less[0], swamped[0]))
        order = np.argsort(-each)
        spoilt = 0.0
        for target in range(len(own)):
            sources = order[order != target]
            before = np.cumsum(moved[sources]) - moved[sources]
            taken = np.clip(lost - before, 0, moved[sources])
            spoilt = max(spoilt, float((each[sources] * taken).sum() + swamped[target]))
        return spoilt / len(own)

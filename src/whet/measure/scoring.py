"""How each metric scores two models' answers and bounds the drop between them.

A relative floor r allows a drop that is itself an estimate, r times the original's value on
the same samples. Where scores have no fixed scale (absolute errors, a user's numbers) its error
is as large as the drop's, and taken for a constant it lets false passes through by the dozen.
The mean of d_i - r b_i, with d_i the drop and b_i the original's score of sample i, has neither
(Fieller's argument for ratios): it is bounded, and what is allowed is added again. Shares
and correlations vary so little against r that it makes no difference there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whet.core.contract import Drop, DropKind
from whet.core.evidence import Changes
from whet.errors import OptionError, SamplesError
from whet.measure.chunks import row_chunks
from whet.measure.closeness import closeness_bounds
from whet.measure.custom import UserMetric
from whet.measure.edge import told_changes
from whet.measure.masks import Masks, masks_of
from whet.measure.metrics import (
    class_labels,
    cosine_rows,
    logits_of,
    predictions,
    scalars_of,
    top_k_hits,
)
from whet.measure.statistics import (
    SMALLEST,
    Bounds,
    binomial_lower,
    binomial_upper,
    bootstrap_bounds,
    jackknife_bounds,
    jackknife_groups,
    mean_bounds,
    moved,
    paired_proportions,
    shifted,
)
from whet.measure.wholeset import F1Cells, SpearmanRanks, spearman

__all__ = ["SCORERS", "Answers", "Hits", "Scored", "score_by_user"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
Hits = NDArray[np.bool_]

_GRADES = 20  # scores with so few distinct values come in grades


@dataclass(frozen=True)
class Answers:
    """Both models' answers to the same samples."""

    reference: Array
    candidate: Array
    labels: Array | None
    rows_per_sample: int
    confidence: float
    seed: int
    max_drop: Drop

    @property
    def samples(self) -> int:
        return len(self.reference) // self.rows_per_sample

    def share_allowed(self, before: float) -> float:
        """What each unit of the original's value adds to the drop allowed; 0 of an absolute one."""
        relative = self.max_drop.kind is DropKind.RELATIVE
        return math.copysign(self.max_drop.value, before) if relative else 0.0

    def known(self, metric: str) -> Array:
        """The labels, of the right count."""
        if self.labels is None:
            raise SamplesError(
                f"The metric '{metric}' needs labels and the samples have none.",
                "Give labels, or take 'agreement' (classifiers), 'cosine' (encoders) or"
                " 'closeness' (any numbers).",
            )
        if len(self.labels) != self.samples:
            raise SamplesError(
                f"There are {len(self.labels)} labels for {self.samples} samples.",
                "Give one label per sample.",
            )
        return self.labels


@dataclass(frozen=True)
class Scored:
    """Values of the metric and the bounds of its drop.

    ``hits`` are the two models' right answers and the labels, where there are classes.
    ``smallest`` is the number of samples below which the bounds mean nothing. ``blind``
    bounds know nothing of damage that no sample showed; ``destroyed`` is the drop if all
    inputs were destroyed, where that is known. ``changes`` are those to expect of others.
    """

    reference: float
    candidate: float
    bounds: Bounds
    smallest: int = 1
    hits: tuple[Hits, Hits, NDArray[np.int64]] | None = None
    blind: bool = False
    destroyed: float | None = None
    changes: Changes | None = None


def _hits(a: Answers, metric: str) -> tuple[Array, Array, NDArray[np.int64]]:
    if a.rows_per_sample != 1:
        raise SamplesError(
            f"The metric '{metric}' takes one row per sample, not {a.rows_per_sample}.",
            "Take 'spearman' or 'cosine' for pairs.",
        )
    before, after = logits_of(a.reference), logits_of(a.candidate, scale=a.reference)
    if before.shape != after.shape:
        raise SamplesError(
            f"The original gives class scores {before.shape}, the candidate {after.shape}.",
            "Judge an output that both give in the same shape.",
        )
    return before, after, class_labels(a.known(metric), before.shape[1], a.samples)


def _top(k: int) -> Callable[[Answers], Scored]:
    def score(a: Answers) -> Scored:
        before, after, labels = _hits(a, f"top{k}")
        if before.shape[1] <= k > 1:
            raise SamplesError(
                f"Top-{k} is always right with {before.shape[1]} classes.", "Take 'top1'."
            )
        old, new = (top_k_hits(logits, labels, k) for logits in (before, after))
        lost, gained = int((old & ~new).sum()), int((new & ~old).sum())
        bounds = paired_proportions(lost, gained, a.samples, a.confidence)
        changes = told_changes(before, after, labels, k)
        return Scored(
            float(old.mean()), float(new.mean()), bounds, hits=(old, new, labels), changes=changes
        )

    return score


def _agreement(a: Answers) -> Scored:
    scores, others = logits_of(a.reference), logits_of(a.candidate, scale=a.reference)
    before, after = predictions(scores), predictions(others)
    n, differ = len(before), int((before != after).sum())
    share = differ / n
    bounds = Bounds(
        drop=share,
        lower=binomial_lower(differ, n, a.confidence),
        upper=binomial_upper(differ, n, a.confidence),
        sd=math.sqrt(share * (1 - share)),
        method=f"Clopper-Pearson bound of the share that differs ({differ} of {n})",
    )
    return Scored(1.0, 1 - share, bounds, changes=told_changes(scores, others, before))


def _f1(a: Answers) -> Scored:
    before, after, labels = _hits(a, "f1")
    old, new = predictions(before), predictions(after)
    cells = F1Cells(labels, old, new, before.shape[1])
    first, second = (float(x[0]) for x in cells.scores(cells.counts[None].astype(np.float64)))
    bounds = bootstrap_bounds(cells.drop, cells.counts, a.confidence, seed=a.seed)
    # A bootstrap sees only differences that occurred. As many as could have hidden with
    # this confidence are -ln(1 - confidence) samples (the rule of three).
    hidden = cells.drop_of(-math.log1p(-a.confidence))
    bounds = shifted(bounds, hidden, "not below the drop that could hide in so few samples")
    return Scored(first, second, bounds, SMALLEST, (old == labels, new == labels, labels))


def _cosine(a: Answers) -> Scored:
    rows = _cosines(a.reference, a.candidate)
    drops = 1 - rows.reshape(a.samples, a.rows_per_sample).mean(axis=1)
    bounds = mean_bounds(drops, a.confidence)
    # Answers that have nothing in common have a cosine of 0.
    return Scored(1.0, float(1 - drops.mean()), bounds, SMALLEST, blind=True, destroyed=1.0)


def _cosines(reference: Array, candidate: Array) -> Floats:
    """Cosine by row; where the original masks, the candidate must do so too."""
    if reference.shape != candidate.shape or reference.dtype.kind != "f":
        return cosine_rows(reference, candidate)
    parts = row_chunks(reference)
    if not parts:
        return np.zeros(0)
    masks = masks_of([reference[p] for p in parts])
    return np.concatenate([_masked_cosines(reference[p], candidate[p], masks) for p in parts])


def _masked_cosines(reference: Array, candidate: Array, masks: Masks) -> Floats:
    a, b = (x.reshape(len(x), -1) for x in (reference, candidate))
    masked = ~masks.known(a)
    if not masked.any():
        return cosine_rows(reference, candidate)
    unlike = np.where(np.isfinite(a), masks.lost(a, b), masked & (a != b)).any(axis=1)
    rows = cosine_rows(*(np.where(masked, 0, x) for x in (a, b)))
    return np.where(unlike, 0.0, rows)


def _closeness(a: Answers) -> Scored:
    bounds = closeness_bounds(
        a.reference,
        a.candidate,
        rows=a.rows_per_sample,
        allowed=a.max_drop.absolute(1.0),
        confidence=a.confidence,
    )
    return Scored(1.0, 1 - bounds.drop, bounds, SMALLEST, blind=True, destroyed=1.0)


def _mae(a: Answers) -> Scored:
    labels = a.known("mae").astype(np.float64)
    if labels.size != a.reference.size or a.reference.shape != a.candidate.shape:
        raise SamplesError(
            f"One label a sample, {labels.size} in all, can't be compared with outputs of shapes"
            f" {a.reference.shape} and {a.candidate.shape}.",
            "Judge an output of one number a sample, or take 'closeness', which needs no labels.",
        )
    if not np.isfinite(a.reference).all():
        raise SamplesError(
            "The original's own answers are infinite in places, so it has no mean absolute error.",
            "Take another metric, such as 'cosine', or judge another output.",
        )
    before, after = (
        np.abs(x.astype(np.float64).reshape(a.samples) - labels) for x in (a.reference, a.candidate)
    )
    bounds = _mean_against(after - before, before, a, None)
    return Scored(float(before.mean()), float(after.mean()), bounds, SMALLEST, blind=True)


def _spearman(a: Answers) -> Scored:
    labels = a.known("spearman").astype(np.float64).reshape(-1)
    before, after = (scalars_of(x, a.rows_per_sample) for x in (a.reference, a.candidate))
    if a.samples < 2 or len(np.unique(labels)) < 2 or len(np.unique(before)) < 2:
        raise SamplesError(
            "A correlation needs labels and answers of the original that differ.",
            "Give samples with more than one label value.",
        )
    ranks = [SpearmanRanks(values) for values in (labels, before, after)]

    def both(weights: Floats) -> tuple[Floats, Floats]:
        truth, old, new = (rank(weights) for rank in ranks)
        return spearman(truth, old, weights), spearman(truth, new, weights)

    def drop(weights: Floats) -> Floats:
        old, new = both(weights)
        return old - new

    first, second = (float(x[0]) for x in both(np.ones((1, a.samples))))
    counts = np.ones(a.samples, np.int64)
    bounds = bootstrap_bounds(drop, counts, a.confidence, seed=a.seed)
    # Answers by chance add nothing to the correlation.
    return Scored(first, second, bounds, SMALLEST, blind=True, destroyed=abs(first))


def _mean_against(drops: Floats, before: Floats, a: Answers, spread: float | None) -> Bounds:
    """Bounds of the mean drop, to be held against a floor that may be relative."""
    share = a.share_allowed(float(before.mean()))
    bounds = mean_bounds(drops, a.confidence, spread=spread)
    if share == 0 or len(drops) < 2:
        return bounds
    found = _together(mean_bounds(drops - share * before, a.confidence), share, before.mean())
    if spread is None:
        return found
    # The exact bound of graded scores counts what differs, which is told by the drops alone.
    return replace(
        found, lower=min(found.lower, bounds.lower), upper=max(found.upper, bounds.upper)
    )


def _together(bounds: Bounds, share: float, before: float) -> Bounds:
    """Bounds of a drop from those of the drop less the share that is allowed."""
    method = f"{bounds.method}; the original's value varies with them"
    return replace(moved(bounds, share * float(before)), method=method)


def score_by_user(
    metric: UserMetric,
    a: Answers,
    reference: Mapping[str, Array],
    candidate: Mapping[str, Array],
) -> Scored:
    """Score both models with the user's function: scores per sample, or one number."""
    before = metric(reference, a.labels, reference)
    after = metric(candidate, a.labels, reference)
    if isinstance(before, float) and isinstance(after, float):
        return _by_user_number(metric, a, reference, candidate, before, after)
    old, new = np.atleast_1d(before), np.atleast_1d(after)
    if old.shape != (a.samples,) or new.shape != (a.samples,):
        raise OptionError(
            f"The metric gave {old.shape} and {new.shape} scores for {a.samples} samples.",
            "Return one score per sample, or one number.",
        )
    pooled = np.unique(np.concatenate([old, new]))
    if set(pooled) <= {0.0, 1.0}:
        right, now = old == 1, new == 1
        lost, gained = int((right & ~now).sum()), int((now & ~right).sum())
        bounds = paired_proportions(lost, gained, a.samples, a.confidence)
        return Scored(float(old.mean()), float(new.mean()), bounds)
    spread = float(pooled[-1] - pooled[0]) if len(pooled) <= _GRADES else None
    bounds = _mean_against(old - new, old, a, spread)
    blind = spread is None
    return Scored(float(old.mean()), float(new.mean()), bounds, SMALLEST, blind=blind)


def _by_user_number(
    metric: UserMetric,
    a: Answers,
    reference: Mapping[str, Array],
    candidate: Mapping[str, Array],
    before: float,
    after: float,
) -> Scored:
    share = a.share_allowed(before)
    drop = before - after

    def excess(kept: NDArray[np.intp]) -> float:
        offsets = np.arange(a.rows_per_sample)
        rows = (kept[:, None] * a.rows_per_sample + offsets).ravel()
        old = {name: array[rows] for name, array in reference.items()}
        new = {name: array[rows] for name, array in candidate.items()}
        labels = None if a.labels is None else a.labels[kept]
        first, second = (float(np.asarray(metric(x, labels, old))) for x in (old, new))
        return first - second - share * first

    if a.samples < SMALLEST:
        bounds = Bounds(drop, drop, drop, 0.0, "too few samples to bound one number")
    else:
        without = np.array([excess(kept) for kept in jackknife_groups(a.samples, a.seed)])
        bounds = jackknife_bounds(drop - share * before, without, a.samples, a.confidence)
        bounds = _together(bounds, share, before) if share else bounds
    return Scored(before, after, bounds, SMALLEST, blind=True)


SCORERS: dict[str, Callable[[Answers], Scored]] = {
    "top1": _top(1),
    "top5": _top(5),
    "f1": _f1,
    "agreement": _agreement,
    "cosine": _cosine,
    "closeness": _closeness,
    "mae": _mae,
    "spearman": _spearman,
}

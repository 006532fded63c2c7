"""Outputs beside the one that the metric judges: none may be destroyed unnoticed.

Theory of operation. The contract's metric is about one output. Every other is held to the
original's own, by a rule that needs no labels and fits any meaning:

* **real numbers**: the loss is half the squared distance of each number from the original's, as
  a share of how much that number varies from sample to sample, averaged over those that vary,

      loss_i = mean over j of (c_ij - r_ij)^2 / (2 V_j),    V_j = mean over i of (r_ij - mean(r_j))^2.

  It is half of 1 - R^2 where the original is what shall be explained. For centred vectors of
  one length whose numbers vary alike it is exactly 1 - cosine; unlike the cosine it also sees a
  wrong scale, works for a single number, and isn't blinded by what all answers have in common.
  A share of the *total* variance would see only the numbers in the largest unit: scores could
  be random beside boxes in pixels. What a number that hardly varies is measured against is
  said in `whet.measure.variation`. Masks, infinite or not (`whet.measure.masks`), have no
  distance; they must stay masks.
* **whole numbers and booleans**: the loss is the share of values that differ.

The mean loss is bounded like any drop, and an answer that has nothing to do with the original's
costs 1, so that as many samples are asked for as would show a hundredth of them. At most 0.01 is allowed, or the contract's own drop
where that is a larger share. A value that isn't finite where the original's is fails at once.
That all outputs must pass needs no correction for their number (intersection-union test;
Berger 1982): each further one can only make passing harder.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.core.contract import Drop, DropKind
from whet.core.evidence import OutputCheck, Verdict
from whet.measure.chunks import row_chunks
from whet.measure.masks import Masks, masks_of
from whet.measure.statistics import (
    SMALLEST,
    Bounds,
    binomial_lower,
    binomial_upper,
    mean_bounds,
)
from whet.measure.variation import Variation
from whet.measure.verdicts import settle

__all__ = ["allowed_loss", "guard_outputs", "hold"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

_LEAST_ALLOWED = 0.01
_NOTHING = 1e-30  # a yardstick for an output of zeros
_SHARES = frozenset({"top1", "top5", "f1", "cosine", "closeness", "spearman", "agreement"})


@dataclass(frozen=True)
class _Losses:
    each: Floats
    broken: int


def allowed_loss(drop: Drop, metric: str) -> float:
    """The loss that an output beside the judged one may have.

    Args:
        drop: of the contract.
        metric: concrete; where its unit is no share (``mae``, the user's own), an absolute
            drop says nothing about other outputs.
    """
    comparable = drop.kind is DropKind.RELATIVE or metric in _SHARES
    return max(_LEAST_ALLOWED, drop.value if comparable else 0.0)


def guard_outputs(
    reference: Mapping[str, Array],
    candidate: Mapping[str, Array],
    *,
    judged: str,
    ignore: Collection[str],
    rows_per_sample: int,
    allowed: float,
    confidence: float,
) -> tuple[OutputCheck, ...]:
    """Compare every output but the judged one and those to ignore with the original's.

    Args:
        reference: the original's outputs by name, (rows, ...).
        candidate: the candidate's, in the same order of rows.
        judged: the output that the metric is about.
        ignore: outputs that the user switched off.
        rows_per_sample: rows that belong to one sample.
        allowed: from `allowed_loss`.
        confidence: of the one-sided bounds.
    """
    return tuple(
        hold(
            name,
            want,
            candidate.get(name),
            rows=rows_per_sample,
            allowed=allowed,
            confidence=confidence,
        )
        for name, want in reference.items()
        if name != judged and name not in ignore
    )


def hold(
    name: str,
    want: Array,
    have: Array | None,
    *,
    rows: int,
    allowed: float,
    confidence: float,
    rule: str | None = None,
) -> OutputCheck:
    """Compare one output with the original's.

    Args:
        name: of the output.
        want: the original's, (rows, ...).
        have: the candidate's; ``None`` where it is missing.
        rows: that belong to one sample.
        allowed: the mean loss allowed.
        confidence: of the one-sided bound.
        rule: how the record calls it; by default after what is compared.
    """
    n = len(want) // rows
    real = want.dtype.kind in "fc"
    rule = rule or ("distance" if real else "equality")
    if have is None or have.shape != want.shape:
        found = "is missing" if have is None else f"has shape {have.shape}, not {want.shape}"
        method = f"the output {found}"
        return OutputCheck(name, rule, n, 1.0, 1.0, allowed, Verdict.FAILED, method)
    losses = _distances(want, have, rows) if real else _unequal(want, have, rows)
    single = not real and want.size == n
    bounds, smallest = _bounds(losses.each, confidence, counted=single)
    verdict, needed, method = settle(bounds, n, allowed, confidence, smallest, 1.0)
    if losses.broken:
        verdict, needed = Verdict.FAILED, None
        method = f"not finite on {losses.broken} of {len(want)} rows; {method}"
    return OutputCheck(
        name, rule, n, bounds.drop, bounds.upper, allowed, verdict, method, losses.broken, needed
    )


def _bounds(losses: Floats, confidence: float, *, counted: bool) -> tuple[Bounds, int]:
    """The bounds of the mean loss, and the samples below which they mean nothing.

    ``counted``: one value a sample, that is right or wrong.
    """
    n, differ = len(losses), int(losses.sum())
    if counted:
        share = differ / n
        return Bounds(
            drop=share,
            lower=binomial_lower(differ, n, confidence),
            upper=binomial_upper(differ, n, confidence),
            sd=math.sqrt(share * (1 - share)),
            method=f"Clopper-Pearson bound of the share that differs ({differ} of {n})",
        ), 1
    if n < 2:
        only = float(losses[0])
        return Bounds(only, only, only, 0.0, "a single sample"), SMALLEST
    return mean_bounds(losses, confidence, spread=None), SMALLEST


def _unequal(want: Array, have: Array, rows: int) -> _Losses:
    shares = [
        (want[p] != have[p]).reshape(len(want[p]) // rows, -1).mean(axis=1)
        for p in row_chunks(want, rows)
    ]
    return _Losses(np.concatenate(shares).astype(np.float64), 0)


def _distances(want: Array, have: Array, rows: int) -> _Losses:
    parts = row_chunks(want, rows)
    masks, variation = masks_of([want[part] for part in parts]), Variation(want[:1].size)
    for part in parts:
        a, known = _flat(want[part], masks)
        variation.see(a, known)
    found, broken, losses = variation.yardsticks(), 0, []
    weights = _weights(found.squares)
    for part in parts:
        a, known = _flat(want[part], masks)
        b = have[part].reshape(a.shape).astype(np.float64)
        wrong = (known & ~np.isfinite(b)) | _unmasked(want[part], have[part], masks)
        broken += int(wrong.any(axis=1).sum())
        # Where the original itself says nothing there is no distance.
        square = np.where(known & ~wrong, a - b, 0.0) ** 2
        each = square @ weights / np.maximum(1, (known & found.counted).sum(axis=1))
        losses.append(each.reshape(-1, rows).mean(axis=1))
    return _Losses(np.concatenate(losses), broken)


def _weights(yardsticks: Floats) -> Floats:
    """What a squared distance costs; where all is zero any costs more than is allowed."""
    weights: Floats = 1 / (2 * np.where(yardsticks > 0, yardsticks, _NOTHING))
    return weights


def _unmasked(want: Array, have: Array, masks: Masks) -> NDArray[np.bool_]:
    """Where the original masks and the candidate's value lies among the others.

    A large number does for an infinity, as long as it stays beyond all that is known there.
    """
    a, b = (x.reshape(len(x), -1).astype(np.float64) for x in (want, have))
    known = masks.known(a)
    if known.all():
        return np.zeros_like(known)
    lowest = np.where(known, a, np.inf).min(axis=1, keepdims=True)
    highest = np.where(known, a, -np.inf).max(axis=1, keepdims=True)
    wrong: NDArray[np.bool_] = (np.isneginf(a) & ~(b <= lowest)) | (
        np.isposinf(a) & ~(b >= highest)
    )
    return wrong | masks.lost(a, b)


def _flat(rows: Array, masks: Masks) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows as vectors with zeros for what says nothing, and where they say something."""
    flat = rows.reshape(len(rows), -1).astype(np.float64)
    known = masks.known(flat)
    return np.where(known, flat, 0.0), known

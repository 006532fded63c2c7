"""Outputs beside the one that the metric judges: none may be destroyed unnoticed.

Theory of operation. The contract's metric is about one output. Every other is held to the
original's own, by a rule that needs no labels and fits any meaning:

* **real numbers**: by their distance from the original's, each unit and each slice of the output
  for itself (`whet.measure.distance`);
* **whole numbers and booleans**: the loss is the share of values that differ; what a constant
  would get right by itself is no merit, so they are held by that distance too, more laxly.

The mean loss is bounded like any drop, and an answer that has nothing to do with the original's
costs 1, so that as many samples are asked for as would show a hundredth of them. At most 0.01 is
allowed, or the contract's own drop where that is a larger share. A value that isn't finite where
the original's is fails at once. That all outputs must pass needs no correction for their number
(intersection-union test; Berger 1982): each further one can only make passing harder.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.core.contract import Drop, DropKind
from whet.core.evidence import OutputCheck, Verdict
from whet.measure.chunks import differing
from whet.measure.distance import Distances, distances, inequalities
from whet.measure.statistics import (
    SMALLEST,
    Bounds,
    binomial_lower,
    binomial_upper,
    mean_bounds,
)
from whet.measure.verdicts import settle, worst

__all__ = ["allowed_loss", "guard_outputs", "hold"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

_LEAST_ALLOWED = 0.01
_LAX = 5.0  # times the loss allowed, for a slice by itself
_LAX_LEAST, _LAX_MOST = 0.25, 0.4  # a slice that stays at its mean costs a half
_RELATIVE = 0.05  # of classes: a tenth of what the best constant loses
_SHARES = frozenset({"top1", "top5", "f1", "cosine", "closeness", "spearman", "agreement"})


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
    classes: bool | None = None,
) -> OutputCheck:
    """Compare one output with the original's.

    Args:
        name: of the output.
        want: the original's, (rows, ...).
        have: the candidate's; ``None`` where it is missing.
        rows: that belong to one sample.
        allowed: the mean loss allowed.
        confidence: of the one-sided bound.
        rule: how the record calls it; by default "equality" of classes, "distance" of numbers.
        classes: whether values are the same or not, with nothing between; by default whole
            numbers and booleans are.
    """
    n = len(want) // rows
    classes = want.dtype.kind in "iub" if classes is None else classes
    rule = rule or ("equality" if classes else "distance")
    if have is None or have.shape != want.shape:
        found = "is missing" if have is None else f"has shape {have.shape}, not {want.shape}"
        method = f"the output {found}"
        return OutputCheck(name, rule, n, 1.0, 1.0, allowed, Verdict.FAILED, method)
    if not want.size:
        return OutputCheck(name, rule, n, 0.0, 0.0, allowed, Verdict.PASSED, "it holds no values")
    want, have = _parts(want), _parts(have)
    limit = _RELATIVE if classes else allowed
    losses = (inequalities if classes else distances)(want, have, rows, limit)
    # Of the judged output the metric tells the share.
    held = [_held_share(want, have, rows, allowed, confidence)] if rule == "equality" else []
    held += [
        *_held_units(losses, n, limit, confidence),
        *_held_slices(losses, n, limit, confidence),
    ]
    verdict = worst(each.verdict for each in held)
    told = next(each for each in held if each.verdict is verdict)
    if rule == "equality" and told is not held[0]:
        rule = "distance"  # as which the figures are to be read
    needed, method = told.needed, told.method
    if losses.broken:
        verdict, needed = Verdict.FAILED, None
        method = f"not finite on {losses.broken} of {len(want)} rows; {method}"
    return OutputCheck(
        name=name,
        rule=rule,
        n=n,
        loss=told.bounds.drop,
        bound=told.bounds.upper,
        allowed=told.allowed,
        verdict=verdict,
        method=method,
        broken=losses.broken,
        needed=needed,
    )


@dataclass(frozen=True)
class _Held:
    """One mean loss against what it may be."""

    bounds: Bounds
    allowed: float
    verdict: Verdict
    needed: int | None
    method: str


def _held_share(want: Array, have: Array, rows: int, allowed: float, confidence: float) -> _Held:
    """The share of values that differ; of one value a sample it is a count."""
    losses = differing(want, have, rows)
    n, single = len(losses), want.size == len(losses)
    bounds = _counted(losses, confidence) if single else mean_bounds(losses, confidence)
    smallest = 1 if single else SMALLEST
    return _Held(bounds, allowed, *settle(bounds, n, allowed, confidence, smallest, 1.0))


def _held_units(losses: Distances, n: int, allowed: float, confidence: float) -> Iterator[_Held]:
    """The units against the loss allowed."""
    for moments in losses.units:
        limits = moments.limits(confidence)
        bounds, _ = limits.deciding(allowed)
        verdict, needed, method = settle(bounds, n, allowed, confidence, SMALLEST, 1.0)
        if len(limits.mean) > 1:
            method = f"{method}; of {len(limits.mean)} units the one that decides"
        yield _Held(bounds, allowed, verdict, needed, method)


def _held_slices(losses: Distances, n: int, allowed: float, confidence: float) -> Iterator[_Held]:
    """Each axis whose worst slice certainly lost more than the laxer limit.

    That the samples don't tell much of a slice (a class that they show once) is no reason to
    doubt the rest.
    """
    lax = min(max(_LAX_LEAST, _LAX * allowed), _LAX_MOST)
    for axis, moments in losses.slices:
        bounds, place = moments.limits(confidence).deciding(lax)
        if n >= SMALLEST and bounds.lower > lax:
            method = f"{bounds.method}; number {place} along axis {axis} by itself"
            yield _Held(bounds, lax, Verdict.FAILED, None, method)


def _parts(values: Array) -> Array:
    """Complex numbers as their two parts, along a last axis of their own."""
    if values.dtype.kind != "c":
        return values
    return np.stack([values.real, values.imag], axis=-1)


def _counted(losses: Floats, confidence: float) -> Bounds:
    n, differ = len(losses), int(losses.sum())
    share = differ / n
    return Bounds(
        drop=share,
        lower=binomial_lower(differ, n, confidence),
        upper=binomial_upper(differ, n, confidence),
        sd=math.sqrt(share * (1 - share)),
        method=f"Clopper-Pearson bound of the share that differs ({differ} of {n})",
    )

"""The verdict on quality: what the samples allow to say about a candidate's drop.

Passed only where the one-sided upper bound of the drop keeps the contract; failed only where
the lower bound breaks it; else there is "not enough data", with the samples that would
probably settle it. A relative limit is turned into an absolute one with the original's value
on these samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from whet.core.contract import Drop
from whet.core.evidence import ClassChange, Quality, Verdict
from whet.errors import SamplesError
from whet.measure.custom import load_metric
from whet.measure.metrics import pick, resolve_metric
from whet.measure.scoring import SCORERS, Answers, Hits, Scored, score_by_user
from whet.measure.statistics import holm, mcnemar_exact, samples_needed

__all__ = ["judge"]

Array = NDArray[np.generic]

_SMALLEST_CLASS = 5


def judge(
    metric: str,
    reference_outputs: Mapping[str, Array],
    candidate_outputs: Mapping[str, Array],
    labels: Array | None,
    *,
    rows_per_sample: int,
    max_drop: Drop,
    confidence: float,
    per_class: bool,
    output: str | None = None,
    task: str | None = None,
    seed: int = 0,
) -> Quality:
    """Compare a candidate with the original on the same samples.

    Args:
        metric: ``"auto"``, a name of `whet.core.contract.METRICS`, or ``file.py:function``.
        reference_outputs: the original's outputs by name, (rows, ...).
        candidate_outputs: the candidate's, in the same order of rows.
        labels: one per sample, or ``None``.
        rows_per_sample: rows that belong to one sample (2 for pairs).
        max_drop: the drop allowed.
        confidence: of the one-sided bounds.
        per_class: also test each class by itself (top1, top5 and f1).
        output: the output that is judged; the first by default.
        task: see `resolve_metric`.
        seed: of the resampling.

    Raises:
        SamplesError: the samples don't allow this metric.
        OptionError: the user's function failed.
    """
    name = resolve_metric(
        metric,
        labels=labels,
        rows_per_sample=rows_per_sample,
        outputs=reference_outputs,
        task=task,
        output=output,
    )
    given = pick(candidate_outputs, output)
    candidate, broken = _without_nan(given)
    answers = Answers(
        reference=_sound(pick(reference_outputs, output)),
        candidate=candidate,
        labels=labels,
        rows_per_sample=rows_per_sample,
        confidence=confidence,
        seed=seed,
    )
    _check_rows(answers)
    if ":" in name:
        repaired = {**candidate_outputs, _name_of(candidate_outputs, given): candidate}
        scored = score_by_user(load_metric(name), answers, reference_outputs, repaired)
    else:
        scored = SCORERS[name](answers)
    return _quality(name, answers, scored, max_drop, broken, per_class=per_class)


def _name_of(outputs: Mapping[str, Array], wanted: Array) -> str:
    return next(name for name, array in outputs.items() if array is wanted)


def _check_rows(answers: Answers) -> None:
    rows, other = len(answers.reference), len(answers.candidate)
    if rows != other or rows % answers.rows_per_sample or rows == 0:
        raise SamplesError(
            f"The original gave {rows} rows and the candidate {other},"
            f" with {answers.rows_per_sample} rows per sample.",
            "Run both on the same samples, at least one.",
        )


def _sound(reference: Array) -> Array:
    broken = _nan_rows(reference)
    if broken.any():
        raise SamplesError(
            f"The original itself answers NaN on {int(broken.sum())} of {len(reference)} rows.",
            "Look for bad values in the samples or a wrong transform; it can't be judged so.",
        )
    return reference


def _nan_rows(answers: Array) -> NDArray[np.bool_]:
    if not np.issubdtype(answers.dtype, np.floating):
        return np.zeros(len(answers), np.bool_)
    each = [np.isnan(answers[i : i + 1024]) for i in range(0, len(answers), 1024)]
    return np.concatenate([part.reshape(len(part), -1).any(axis=1) for part in each])


def _without_nan(candidate: Array) -> tuple[Array, int]:
    """The candidate with zeros for NaN, so that figures exist, and how many rows had it."""
    broken = _nan_rows(candidate) if len(candidate) else np.zeros(0, np.bool_)
    count = int(broken.sum())
    return (np.nan_to_num(candidate, nan=0.0) if count else candidate), count


def _quality(
    metric: str, answers: Answers, scored: Scored, max_drop: Drop, broken: int, *, per_class: bool
) -> Quality:
    bounds, n = scored.bounds, answers.samples
    allowed = max_drop.absolute(scored.reference)
    verdict, needed, method = _verdict(scored, n, allowed, answers.confidence)
    if broken:
        verdict, needed = Verdict.FAILED, None
        method = f"the candidate answers NaN on {broken} of {len(answers.candidate)} rows; {method}"
    return Quality(
        metric=metric,
        n=n,
        reference=scored.reference,
        candidate=scored.candidate,
        drop=bounds.drop,
        bound=bounds.upper,
        allowed=allowed,
        confidence=answers.confidence,
        verdict=verdict,
        method=method,
        needed=needed,
        classes=_classes(*scored.hits) if per_class and scored.hits else (),
    )


def _verdict(
    scored: Scored, n: int, allowed: float, confidence: float
) -> tuple[Verdict, int | None, str]:
    bounds, method = scored.bounds, scored.bounds.method
    if n < scored.smallest:
        few = f"{method}; fewer than {scored.smallest} samples settle nothing"
        return Verdict.UNDECIDED, scored.smallest, few
    if bounds.upper <= allowed:
        return Verdict.PASSED, None, method
    if bounds.lower > allowed:
        return Verdict.FAILED, None, method
    return Verdict.UNDECIDED, samples_needed(bounds, n, allowed, confidence), method


def _classes(before: Hits, after: Hits, labels: NDArray[np.int64]) -> tuple[ClassChange, ...]:
    """Change of each class with enough samples; McNemar's exact test, Holm over all classes."""
    found = []
    for label in np.unique(labels):
        own = labels == label
        n = int(own.sum())
        if n < _SMALLEST_CLASS:
            continue
        old, new = before[own], after[own]
        p_value = mcnemar_exact(int((old & ~new).sum()), int((new & ~old).sum()))
        found.append((int(label), n, float(old.mean()), float(new.mean()), p_value))
    corrected = holm([row[4] for row in found])
    return tuple(
        ClassChange(label=label, n=n, reference=old, candidate=new, p_value=p)
        for (label, n, old, new, _), p in zip(found, corrected, strict=True)
    )

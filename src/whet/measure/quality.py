"""The verdict on quality: what the samples allow to say about a candidate's drop.

Passed only where the one-sided upper bound of the drop keeps the contract; failed only where
the lower bound breaks it; else there is "not enough data", with the samples that would
probably settle it. A relative limit is turned into an absolute one with the original's value
on these samples, whose own error the bounds heed (`whet.measure.scoring`). The metric is about
one output; every other is held to the original's own (`whet.measure.guards`), the judged one too
where a constant would nearly keep the floor (`whet.measure.constant`), and the verdict is the
worst of all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.contract import Drop
from whet.core.evidence import ClassChange, Quality, Verdict
from whet.errors import SamplesError
from whet.measure.chunks import row_chunks
from whet.measure.constant import guard_judged
from whet.measure.custom import UserMetric, load_metric
from whet.measure.guards import allowed_loss, guard_outputs
from whet.measure.metrics import pick, resolve_metric
from whet.measure.scoring import SCORERS, Answers, Hits, Scored, score_by_user
from whet.measure.statistics import holm, mcnemar_exact, unseen_share
from whet.measure.verdicts import settle, worst

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
    ignore: Collection[str] = (),
    task: str | None = None,
    seed: int = 0,
    own: UserMetric | None = None,
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
        output: the output that the metric judges; the first by default.
        ignore: outputs that aren't compared at all.
        task: see `resolve_metric`.
        seed: of the resampling.
        own: the user's live function, where ``metric`` is only its name.

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
    judged = output if output is not None else next(iter(reference_outputs))
    reference = _sound(pick(reference_outputs, output))
    candidate, broken = _repaired(pick(candidate_outputs, judged), reference)
    answers = Answers(
        reference=reference,
        candidate=candidate,
        labels=labels,
        rows_per_sample=rows_per_sample,
        confidence=confidence,
        seed=seed,
        max_drop=max_drop,
    )
    _check_rows(answers)
    if ":" in name:
        repaired = {**candidate_outputs, judged: candidate}
        scored = score_by_user(own or load_metric(name), answers, reference_outputs, repaired)
    else:
        scored = SCORERS[name](answers)
    quality = _quality(name, answers, scored, max_drop, broken, per_class=per_class)
    guard = guard_judged(name, judged, answers, quality.reference, quality.allowed)
    others = guard_outputs(
        reference_outputs,
        candidate_outputs,
        judged=judged,
        ignore=ignore,
        rows_per_sample=rows_per_sample,
        allowed=allowed_loss(max_drop, name),
        confidence=confidence,
    )
    guarded = (*((guard,) if guard is not None else ()), *others)
    return msgspec.structs.replace(
        quality,
        verdict=worst((quality.verdict, *(c.verdict for c in guarded))),
        output=judged,
        outputs=guarded,
        ignored=tuple(n for n in reference_outputs if n in ignore),
    )


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
    broken = np.zeros(len(answers), np.bool_)
    for part in row_chunks(answers):
        rows = answers[part]
        broken[part] = np.isnan(rows).reshape(len(rows), -1).any(axis=1)
    return broken


def _repaired(candidate: Array, reference: Array) -> tuple[Array, int]:
    """The candidate with zeros for values that aren't finite but should be, and its rows with such.

    An infinity that the original gives too (a class that is masked out) is no fault.
    """
    if not np.issubdtype(candidate.dtype, np.floating) or not len(candidate):
        return candidate, 0
    alike = candidate.shape == reference.shape
    count = 0
    for part in row_chunks(candidate):
        wrong = ~np.isfinite(candidate[part])
        if alike and np.issubdtype(reference.dtype, np.floating):
            wrong &= np.isfinite(reference[part])
        if wrong.any():
            if not count:
                candidate = np.array(candidate)
            candidate[part][wrong] = 0
            count += int(wrong.reshape(len(wrong), -1).any(axis=1).sum())
    return candidate, count


def _quality(
    metric: str, answers: Answers, scored: Scored, max_drop: Drop, broken: int, *, per_class: bool
) -> Quality:
    bounds, n = scored.bounds, answers.samples
    allowed = max_drop.absolute(scored.reference)
    verdict, needed, method = settle(
        bounds, n, allowed, answers.confidence, scored.smallest, scored.destroyed
    )
    unseen = unseen_share(n, answers.confidence) if scored.blind else None
    if unseen is not None:
        method = f"{method}; damage on fewer than {unseen:.2%} of the inputs may not show"
    if broken:
        verdict, needed = Verdict.FAILED, None
        method = (
            f"the candidate's answer isn't finite on {broken} of {len(answers.candidate)} rows;"
            f" {method}"
        )
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
        unseen=unseen,
        changes=scored.changes,
        broken=broken,
    )


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

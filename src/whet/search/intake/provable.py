"""What so many certify samples can prove under a metric, said before the search; pure.

Shares: if a share d of the answers would change, all n stay unchanged with probability
(1 - d)^n. Seeing no change therefore bounds d at confidence c by 1 - (1 - c)^(1/n), about 3/n
at 95 %: the exact (Clopper-Pearson) bound for zero successes. Means: the same share of the inputs
may be damaged unseen; where it is known what a destroyed answer costs, nothing passes on fewer
samples than would show a share that alone breaks the floor (`whet.measure.verdicts`).
"""

from __future__ import annotations

import math

from whet.core.note import Note
from whet.measure.statistics import samples_to_show, unseen_share

__all__ = ["provable_notes"]

_RATES = {"top1": "top-1", "top5": "top-5", "agreement": "agreement with the original"}


def provable_notes(
    metric: str, reference: float, allowed: float, certify: int, total: int, confidence: float
) -> tuple[Note, ...]:
    """What the samples can and can't prove.

    Args:
        metric: concrete.
        reference: the original's value of it.
        allowed: the drop allowed, in the metric's units.
        certify: samples to certify with.
        total: samples in all.
        confidence: of the proof.
    """
    unseen = unseen_share(certify, confidence)
    with_these = f"{certify:,} sample(s)"
    if metric in _RATES:
        said = (
            f"{with_these} can prove, at {confidence:.0%} confidence, that {_RATES[metric]} drops by"
            f" less than {unseen:.2%}, if no answer gets worse; a smaller drop can't be proved"
            " with them."
        )
    else:
        said = (
            f"{with_these} show, at {confidence:.0%} confidence, damage to {unseen:.2%} of the inputs"
            f" or more; how small a drop of {_name(metric)} they prove depends on how much it"
            " varies between them."
        )
    notes = [Note("certify", said)]
    costs = _destroyed(metric, reference)
    needed = samples_to_show(allowed / costs, confidence) if costs > 0 else None
    if needed is not None and needed > certify:
        in_all = math.ceil(needed * total / certify)
        text = (
            f"The contract's drop of {allowed:.4g} needs at least {needed:,} certify samples (there are"
            f" {certify:,}), about {in_all:,} samples in all."
        )
        notes.append(Note("certify", text))
    return tuple(notes)


def _destroyed(metric: str, reference: float) -> float:
    """What it costs if all answers are destroyed, in the metric's units; 0 where unknown."""
    if metric in _RATES or metric in {"cosine", "closeness"}:
        return 1.0
    return abs(reference) if metric == "spearman" else 0.0


def _name(metric: str) -> str:
    return "your metric" if ":" in metric else metric

"""What the samples can prove is said in the metric's own words, and agrees with the verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from whet.core.contract import Drop
from whet.core.evidence import Verdict
from whet.measure.quality import judge
from whet.search.intake.provable import provable_notes


def said(metric: str, *, reference: float = 1.0, allowed: float = 0.01, certify: int = 50) -> str:
    notes = provable_notes(metric, reference, allowed, certify, 2 * certify, 0.95)
    assert {note.where for note in notes} == {"certify"}
    return " ".join(note.reason for note in notes)


def test_a_rate_is_named() -> None:
    text = said("top1")
    assert "that top-1 drops by less than 5.82%" in text
    assert "needs at least 299 certify samples (there are 50), about 598 samples in all" in text
    assert "agreement with the original" in said("agreement")
    assert "needs at least" not in said("top1", certify=500)


@pytest.mark.parametrize("metric", ["cosine", "mae", "spearman", "f1", "metrics.py:score"])
def test_what_is_no_rate_is_not_called_one(metric: str) -> None:
    text = said(metric)
    assert "top-1" not in text
    assert "rate" not in text
    assert "damage to 5.82% of the inputs or more" in text
    assert ("your metric" if ":" in metric else metric) in text


@pytest.mark.parametrize(("certify", "enough"), [(298, False), (299, True)])
def test_the_least_number_for_a_cosine_is_that_of_the_verdict(certify: int, enough: bool) -> None:
    assert ("needs at least 299" not in said("cosine", certify=certify)) is enough
    embedding = np.random.default_rng(0).normal(size=(certify, 16))
    found = judge(
        "cosine",
        {"out": embedding},
        {"out": embedding},
        None,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
    )
    assert (found.verdict is Verdict.PASSED) is enough


def test_an_error_promises_no_number_of_samples() -> None:
    assert "needs at least" not in said("mae", reference=3.0, certify=10)

"""Damage to few inputs, of which the samples may hold none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.core.contract import Drop, DropKind
from whet.core.evidence import Quality, Verdict
from whet.measure.guards import guard_outputs
from whet.measure.quality import judge
from whet.measure.statistics import binomial_upper, samples_to_show, unseen_share

Array = NDArray[np.generic]


def judged(
    metric: str, before: Array, after: Array, labels: Array | None = None, drop: Drop | None = None
) -> Quality:
    return judge(
        metric,
        {"out": before},
        {"out": after},
        labels,
        rows_per_sample=1,
        max_drop=drop or Drop(0.01),
        confidence=0.95,
        per_class=False,
    )


@given(st.integers(1, 10**6), st.sampled_from([0.9, 0.95, 0.99]))
def test_what_goes_unseen_is_the_exact_bound_of_a_share_never_seen(n: int, sure: float) -> None:
    share = unseen_share(n, sure)
    assert share == pytest.approx(binomial_upper(0, n, sure), rel=1e-6)
    assert samples_to_show(share, sure) == n


def test_the_rule_of_three() -> None:
    assert unseen_share(1000, 0.95) == pytest.approx(3 / 1000, rel=0.01)
    assert samples_to_show(0.01, 0.95) == 299
    assert samples_to_show(1.5, 0.95) == 1
    assert samples_to_show(0.0, 0.95) is None


def embeddings(rng: np.random.Generator, n: int, share: float) -> tuple[Array, Array]:
    before = rng.normal(size=(n, 24))
    after = before + 0.05 * rng.normal(size=before.shape)
    gone = rng.random(n) < share
    after[gone] = rng.normal(size=(int(gone.sum()), 24))
    return before, after


@pytest.mark.parametrize("n", [100, 300])
def test_one_destroyed_input_in_a_hundred_rarely_passes(n: int) -> None:
    rng = np.random.default_rng(n)
    passed = sum(
        judged("cosine", *embeddings(rng, n, 0.01)).verdict is Verdict.PASSED for _ in range(400)
    )
    assert passed / 400 <= 0.075  # at 100 samples 37 of 100 hold none of them


def test_so_it_is_of_other_outputs() -> None:
    before, after = embeddings(np.random.default_rng(0), 298, 0.0)
    for n, verdict in ((298, Verdict.UNDECIDED), (299, Verdict.PASSED)):
        want, have = (np.concatenate([x, x])[:n] for x in (before, after))
        (found,) = guard_outputs(
            {"a": want, "b": want},
            {"a": have, "b": have},
            judged="a",
            ignore=(),
            rows_per_sample=1,
            allowed=0.01,
            confidence=0.95,
        )
        assert found.bound <= found.allowed
        assert found.verdict is verdict
        assert found.needed == (299 if verdict is Verdict.UNDECIDED else None)


def test_clear_failures_need_no_more_samples_than_before() -> None:
    before, _ = embeddings(np.random.default_rng(1), 60, 0.0)
    assert judged("cosine", before, -before).verdict is Verdict.FAILED


def test_a_usual_certification_of_an_encoder_still_passes() -> None:
    """The case of a sentence encoder in int8: 690 samples, a drop of 0.0085 on average."""
    drops = np.random.default_rng(2).gamma(2.0, 0.0085 / 2, 690)
    angle = np.arccos(1 - drops)
    before = np.tile([1.0, 0.0], (690, 1))
    found = judged("cosine", before, np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert 0.008 < found.drop < found.bound < 0.0095
    assert found.verdict is Verdict.PASSED
    assert found.unseen == pytest.approx(0.00433, rel=0.01)
    assert "fewer than 0.43% of the inputs may not show" in found.method


def test_a_correlation_needs_samples_that_would_show_the_damage() -> None:
    rng = np.random.default_rng(3)
    for n, verdict in ((100, Verdict.UNDECIDED), (400, Verdict.PASSED)):
        labels = rng.normal(size=n)
        before = (labels + 0.5 * rng.normal(size=n))[:, None]
        found = judged("spearman", before, before + 1e-3 * rng.normal(size=(n, 1)), labels)
        assert found.bound <= found.allowed
        assert found.verdict is verdict


def test_a_rare_class_that_may_be_lost_keeps_f1_from_passing() -> None:
    labels = np.repeat(np.arange(6), [199, 199, 199, 199, 199, 5])
    before = np.eye(6)[labels]
    found = judged("f1", before, before, labels, Drop(0.05))
    assert (found.drop, found.verdict) == (0.0, Verdict.UNDECIDED)
    even = np.arange(1000) % 6
    assert judged("f1", np.eye(6)[even], np.eye(6)[even], even).verdict is Verdict.PASSED


def test_what_can_go_unseen_is_told_where_the_bound_does_not_know_it() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 500)
    scores = np.eye(3)[labels]
    for metric in ("top1", "f1", "agreement"):
        assert judged(metric, scores, scores, labels).unseen is None
    numbers = rng.normal(size=(500, 1))
    relative = Drop(0.1, DropKind.RELATIVE)
    found = judged("mae", numbers, numbers + 1e-3, numbers[:, 0] + 1, relative)
    assert found.unseen == pytest.approx(-math.expm1(math.log(0.05) / 500))
    assert found.verdict is Verdict.PASSED, "an error has no largest value to reckon with"

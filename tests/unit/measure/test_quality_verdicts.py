from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.core.contract import Drop, DropKind
from whet.core.evidence import Quality, Verdict
from whet.errors import OptionError, SamplesError
from whet.measure.custom import guarded
from whet.measure.quality import judge
from whet.measure.statistics import binomial_upper, paired_proportions

Array = NDArray[np.generic]


def check(
    metric: str,
    reference: Array,
    candidate: Array,
    labels: Array | None = None,
    *,
    rows: int = 1,
    drop: Drop = Drop(0.01),  # noqa: B008 - frozen
    per_class: bool = False,
) -> Quality:
    quality = judge(
        metric,
        {"out": reference},
        {"out": candidate},
        labels,
        rows_per_sample=rows,
        max_drop=drop,
        confidence=0.95,
        per_class=per_class,
    )
    # Every figure must survive a round trip through the bundle's JSON.
    assert msgspec.json.decode(msgspec.json.encode(quality), type=Quality) == quality
    return quality


def one_hot(classes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    return np.eye(count)[classes]


def classifier(n: int, lost: int, gained: int, classes: int = 4) -> tuple[Array, Array, Array]:
    """Labels, and two models of which one loses and gains so many."""
    labels = np.arange(n) % classes
    before, after = labels.copy(), labels.copy()
    wrong = (labels + 1) % classes
    after[:lost] = wrong[:lost]
    before[lost : lost + gained] = wrong[lost : lost + gained]
    return labels, one_hot(before, classes), one_hot(after, classes)


def test_top1_passes_fails_and_stays_open() -> None:
    labels, before, after = classifier(5000, 10, 5)
    passed = check("top1", before, after, labels)
    assert passed.verdict is Verdict.PASSED
    assert passed.drop == pytest.approx(0.001)
    assert passed.bound == pytest.approx(paired_proportions(10, 5, 5000, 0.95).upper)
    assert passed.needed is None

    labels, before, after = classifier(5000, 150, 10)
    failed = check("top1", before, after, labels)
    assert failed.verdict is Verdict.FAILED

    labels, before, after = classifier(200, 1, 0)
    undecided = check("top1", before, after, labels)
    assert undecided.verdict is Verdict.UNDECIDED
    assert undecided.needed is not None
    assert undecided.needed > 200


def test_two_thousand_labels_are_often_too_few_for_one_point() -> None:
    labels, before, after = classifier(2000, 45, 35)  # 4 % discordant, drop 0.5 pt
    assert check("top1", before, after, labels).verdict is Verdict.UNDECIDED


@given(st.integers(30, 2000), st.integers(0, 15), st.integers(0, 15), st.floats(0, 0.1))
@settings(max_examples=60)
def test_passed_means_the_bound_keeps_the_contract(
    n: int, lost: int, gained: int, allowed: float
) -> None:
    labels, before, after = classifier(n, lost, gained)
    quality = check("top1", before, after, labels, drop=Drop(allowed))
    assert (quality.verdict is Verdict.PASSED) == (quality.bound <= quality.allowed)
    assert quality.drop <= quality.bound


def test_relative_drop_is_of_the_originals_value() -> None:
    labels, before, after = classifier(1000, 0, 200)
    quality = check("top1", before, after, labels, drop=Drop(0.1, DropKind.RELATIVE))
    assert quality.reference == pytest.approx(0.8)
    assert quality.allowed == pytest.approx(0.08)


def test_top5_counts_the_five_best() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(400, 12))
    labels = rng.integers(0, 12, 400)
    best = np.argsort(-logits, axis=1)[:, :5]
    quality = check("top5", logits, logits, labels)
    assert quality.reference == pytest.approx((best == labels[:, None]).any(axis=1).mean())
    assert quality.drop == 0
    with pytest.raises(SamplesError, match="Top-5 is always right"):
        check("top5", logits[:, :5], logits[:, :5], labels % 5)


def test_per_class_change_is_found_and_corrected() -> None:
    labels = np.repeat(np.arange(10), 100)
    before, after = labels.copy(), labels.copy()
    after[300:330] = 0  # class 3 loses 30 of 100
    after[500] = 0
    quality = check(
        "top1", one_hot(before, 10), one_hot(after, 10), labels, drop=Drop(0.1), per_class=True
    )
    by_label = {change.label: change for change in quality.classes}
    assert len(by_label) == 10
    assert by_label[3].p_value < 1e-6
    assert by_label[3].candidate == pytest.approx(0.7)
    assert by_label[5].p_value == 1.0


def test_classes_with_few_samples_are_left_out() -> None:
    labels = np.array([0] * 40 + [1] * 4)
    logits = one_hot(labels, 2)
    quality = check("top1", logits, logits, labels, per_class=True)
    assert [change.label for change in quality.classes] == [0]


def test_agreement_needs_no_labels_and_is_clopper_pearson() -> None:
    _, before, after = classifier(300, 0, 0)
    quality = check("agreement", before, after, drop=Drop(0.01))
    assert (quality.reference, quality.candidate) == (1.0, 1.0)
    assert quality.bound == pytest.approx(binomial_upper(0, 300, 0.95))
    assert quality.verdict is Verdict.PASSED
    _, before, after = classifier(299, 1, 0)
    assert check("agreement", before, after, drop=Drop(0.01)).verdict is Verdict.UNDECIDED


def test_cosine_is_judged_by_sample_against_one() -> None:
    rng = np.random.default_rng(1)
    before = rng.normal(size=(600, 32)).astype(np.float32)
    after = before + np.float32(0.05) * rng.normal(size=before.shape).astype(np.float32)
    quality = check("cosine", before, after)
    assert quality.reference == 1.0
    assert quality.verdict is Verdict.PASSED
    assert quality.drop == pytest.approx(0.05**2 / 2, rel=0.1)
    pairs = check("cosine", before, after, rows=2)
    assert pairs.n == 300
    assert pairs.drop == pytest.approx(quality.drop)


def test_equal_outputs_drop_by_nothing() -> None:
    before = np.random.default_rng(2).normal(size=(300, 8))
    quality = check("cosine", before, before.copy())
    assert (quality.drop, quality.bound, quality.verdict) == (0.0, 0.0, Verdict.PASSED)
    nothing = check("cosine", before, before.copy(), drop=Drop(0.0))
    assert (nothing.verdict, nothing.needed) == (Verdict.UNDECIDED, None)


def test_few_samples_settle_nothing_for_means() -> None:
    before = np.random.default_rng(2).normal(size=(29, 8))
    quality = check("cosine", before, before + 1e-6)
    assert quality.verdict is Verdict.UNDECIDED
    assert quality.needed == 299
    assert check("cosine", before, before + 1e-6, drop=Drop(0.5)).needed == 30
    assert check("cosine", before[:1], before[:1] + 1e-6).verdict is Verdict.UNDECIDED


def test_mae_counts_upwards_as_worse() -> None:
    rng = np.random.default_rng(3)
    labels = rng.normal(size=500)
    before = (labels + 0.1 * rng.normal(size=500))[:, None]
    after = (labels + 0.2 * rng.normal(size=500))[:, None]
    quality = check("mae", before, after, labels, drop=Drop(0.5, DropKind.RELATIVE))
    assert quality.candidate > quality.reference
    assert quality.drop == pytest.approx(quality.candidate - quality.reference)
    assert quality.verdict is Verdict.FAILED
    with pytest.raises(SamplesError, match="can't be compared"):
        check("mae", np.zeros((5, 2)), np.zeros((5, 2)), np.zeros(5))


def test_f1_of_two_classes_is_that_of_class_one() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 2, 800)
    said = np.where(rng.random(800) < 0.1, 1 - labels, labels)
    after = np.where(rng.random(800) < 0.01, 1 - said, said)
    quality = check("f1", one_hot(said, 2), one_hot(after, 2), labels, drop=Drop(0.05))
    hits = ((said == 1) & (labels == 1)).sum()
    assert quality.reference == pytest.approx(2 * hits / ((said == 1).sum() + (labels == 1).sum()))
    assert quality.verdict is Verdict.PASSED


def test_f1_without_any_change_is_not_proved_by_few_samples() -> None:
    labels, before, _ = classifier(60, 0, 0)
    assert check("f1", before, before, labels).verdict is Verdict.UNDECIDED
    labels, before, _ = classifier(2000, 0, 0)
    assert check("f1", before, before, labels).verdict is Verdict.PASSED


def test_spearman_of_pairs() -> None:
    rng = np.random.default_rng(5)
    left = rng.normal(size=(400, 16))
    right = left + rng.normal(size=left.shape) * rng.uniform(0, 3, (400, 1))
    rows = np.empty((800, 16))
    rows[0::2], rows[1::2] = left, right
    similarity = (
        np.sum(left * right, 1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    )
    labels = np.round(5 * similarity, 1)
    near = check("auto", rows, rows + 0.01 * rng.normal(size=rows.shape), labels, rows=2)
    assert (near.metric, near.n, near.verdict) == ("spearman", 400, Verdict.PASSED)
    far = check("spearman", rows, rows + 2 * rng.normal(size=rows.shape), labels, rows=2)
    assert far.verdict is Verdict.FAILED
    with pytest.raises(SamplesError, match="correlation"):
        check("spearman", rows, rows, np.ones(400), rows=2)


@pytest.mark.parametrize("metric", ["top1", "cosine", "agreement", "f1"])
def test_nan_of_the_candidate_fails_with_its_count(metric: str) -> None:
    labels, before, after = classifier(2000, 0, 0)
    after[7, 1] = after[9, 0] = np.nan
    quality = check(metric, before, after, labels, drop=Drop(1.0))
    assert quality.verdict is Verdict.FAILED
    assert "isn't finite on 2 of 2000 rows" in quality.method


def test_nan_of_the_original_is_the_samples_fault() -> None:
    labels, before, after = classifier(100, 0, 0)
    before[3] = np.nan
    with pytest.raises(SamplesError, match="original itself answers NaN on 1 of 100"):
        check("top1", before, after, labels)


def test_mismatched_rows_and_labels_are_refused() -> None:
    labels, before, after = classifier(100, 0, 0)
    with pytest.raises(SamplesError, match="100 rows and the candidate 99"):
        check("top1", before, after[:99], labels)
    with pytest.raises(SamplesError, match="labels"):
        check("top1", before, after, labels[:50])
    with pytest.raises(SamplesError, match="one row per sample"):
        check("top1", before, after, labels[:50], rows=2)
    with pytest.raises(SamplesError, match="Label 4 is out of range"):
        check("top1", before, after, labels + 1)
    with pytest.raises(SamplesError, match="same shape"):
        check("top1", before, after[:, :3], labels)


def write(folder: Path, body: str) -> str:
    file = folder / "mine.py"
    file.write_text(f"import numpy as np\n\ndef score(outputs, labels, reference):\n    {body}\n")
    return f"{file}:score"


def test_users_scores_of_zero_and_one_are_paired_proportions(tmp_path: Path) -> None:
    labels, before, after = classifier(1000, 12, 4)
    metric = write(tmp_path, "return outputs['out'].argmax(1) == labels")
    quality = check(metric, before, after, labels, drop=Drop(0.03))
    assert quality.bound == pytest.approx(paired_proportions(12, 4, 1000, 0.95).upper)
    assert quality.verdict is Verdict.PASSED


def test_users_graded_scores_are_not_proved_by_samples_that_never_differ(tmp_path: Path) -> None:
    _, before, _ = classifier(200, 0, 0)
    metric = write(tmp_path, "return np.arange(len(outputs['out'])) % 3 / 2")
    assert check(metric, before, before).verdict is Verdict.UNDECIDED


def test_users_one_number_is_bounded_by_the_jackknife(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    before = rng.normal(size=(900, 3))
    after = before + 0.1 * rng.normal(size=before.shape)
    metric = write(tmp_path, "return -float(np.median(np.abs(outputs['out'] - reference['out'])))")
    quality = check(metric, before, after, drop=Drop(0.1))
    assert quality.reference == 0.0
    assert quality.drop == pytest.approx(0.0674, rel=0.1)
    assert quality.bound > quality.drop
    assert quality.verdict is Verdict.PASSED
    assert "jackknife" in quality.method
    assert check(metric, before[:20], after[:20]).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return np.zeros(7)", "scores for 100 samples"),
        ("return np.zeros((100, 2))", "shape"),
        ("return float('nan')", "no numbers"),
        ("raise RuntimeError('ouch')", "RuntimeError: ouch"),
    ],
)
def test_users_mistakes_are_named(tmp_path: Path, body: str, words: str) -> None:
    _, before, _ = classifier(100, 0, 0)
    with pytest.raises(OptionError, match=words):
        check(write(tmp_path, body), before, before)


def test_missing_metric_file_is_named(tmp_path: Path) -> None:
    _, before, _ = classifier(100, 0, 0)
    with pytest.raises(OptionError, match="can't be loaded"):
        check(f"{tmp_path}/none.py:score", before, before)


def test_a_live_function_judges_under_its_name() -> None:
    labels, before, after = classifier(5000, 10, 5)

    def right(outputs: dict[str, Array], labels: Array, _: object) -> Array:
        return np.argmax(outputs["out"], axis=1) == labels

    found = judge(
        "notebook:right",
        {"out": before},
        {"out": after},
        labels,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
        own=guarded("notebook:right", right),  # type: ignore[arg-type]
    )
    named = check("top1", before, after, labels)
    assert found.metric == "notebook:right"
    assert (found.drop, found.bound, found.verdict) == (named.drop, named.bound, named.verdict)


def test_one_score_is_read_on_the_originals_scale() -> None:
    """Whether a single column holds probabilities or logits is the original's to say."""
    shares = np.random.default_rng(0).random((1000, 1)).astype(np.float32)
    labels = (shares[:, 0] > 0.5).astype(int)
    overshot = shares * np.float32(1.003)  # a dequantised sigmoid may pass 1
    assert check("top1", shares, overshot, labels).drop < 0.01
    logits = np.random.default_rng(1).normal(size=(1000, 1)).astype(np.float32)
    squashed = 1 / (1 + np.exp(-logits))
    found = check("top1", logits, squashed, (logits[:, 0] > 0).astype(int))
    assert found.verdict is Verdict.FAILED


def test_masked_places_are_no_crash() -> None:
    masked = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    masked[:, 2] = -np.inf
    assert check("cosine", masked, masked.copy()).verdict is Verdict.PASSED
    other = masked.copy()
    other[:, 2] = 3.0
    assert check("cosine", masked, other).verdict is Verdict.FAILED
    with pytest.raises(SamplesError, match="infinite"):
        check("mae", masked, masked.copy(), np.zeros((400, 5), np.float32))

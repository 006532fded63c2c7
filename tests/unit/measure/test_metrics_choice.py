from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from whet.errors import SamplesError
from whet.measure.metrics import (
    class_labels,
    cosine_rows,
    logits_of,
    pick,
    predictions,
    resolve_metric,
    scalars_of,
    top_k_hits,
)

rng = np.random.default_rng(0)
LOGITS = rng.normal(size=(20, 5))
UNIT = LOGITS / np.linalg.norm(LOGITS, axis=1, keepdims=True)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
SCALAR = rng.normal(size=(20, 1))
CLASSES = rng.integers(0, 5, 20)
SCORES = rng.uniform(0.3, 4.7, 20)


@pytest.mark.parametrize(
    ("outputs", "labels", "rows", "task", "metric"),
    [
        (LOGITS, CLASSES, 1, None, "top1"),
        (LOGITS, CLASSES.astype(np.float64), 1, None, "top1"),
        (LOGITS[:, :, None, None], CLASSES, 1, None, "top1"),
        (SCALAR, CLASSES % 2, 1, None, "top1"),
        (SCALAR, CLASSES, 1, None, "mae"),
        (SCALAR, SCORES, 1, None, "mae"),
        (SCALAR[:, 0], SCORES, 1, None, "mae"),
        (LOGITS, SCORES[:10], 2, None, "spearman"),
        (LOGITS, None, 1, None, "closeness"),
        (PROBABILITIES, None, 1, None, "agreement"),
        (LOGITS, None, 1, "image-classification", "agreement"),
        (LOGITS, None, 1, "feature-extraction", "cosine"),
        (UNIT, None, 1, None, "cosine"),
        (UNIT, None, 1, "text-classification", "agreement"),
        (LOGITS, None, 2, None, "cosine"),
        (SCALAR, None, 1, None, "closeness"),
        (SCALAR, None, 1, "feature-extraction", "closeness"),
        (rng.normal(size=(20, 7, 3)), None, 1, None, "cosine"),
    ],
)
def test_auto_takes_the_metric_that_fits(
    outputs: NDArray[np.float64],
    labels: NDArray[np.generic] | None,
    rows: int,
    task: str | None,
    metric: str,
) -> None:
    found = resolve_metric(
        "auto", labels=labels, rows_per_sample=rows, outputs={"o": outputs}, task=task
    )
    assert found == metric


def test_auto_refuses_what_fits_nothing() -> None:
    with pytest.raises(SamplesError, match="No metric fits"):
        resolve_metric("auto", labels=SCORES, rows_per_sample=1, outputs={"o": LOGITS})


def test_labelled_metric_without_labels_names_the_remedy() -> None:
    with pytest.raises(SamplesError, match=r"'top1' needs labels.*--label-key.*agreement"):
        resolve_metric("top1", labels=None, rows_per_sample=1, outputs={"o": LOGITS})
    for metric in ("cosine", "agreement", "closeness", "mine.py:score"):
        assert (
            resolve_metric(metric, labels=None, rows_per_sample=1, outputs={"o": LOGITS}) == metric
        )


def test_a_pair_of_numbers_has_no_cosine() -> None:
    with pytest.raises(SamplesError, match="their sign only") as refused:
        resolve_metric("auto", labels=SCORES, rows_per_sample=2, outputs={"o": SCALAR})
    assert "--pairs join" in refused.value.remedy
    with pytest.raises(SamplesError, match="their sign only"):
        scalars_of(SCALAR, 2)
    assert (
        resolve_metric("auto", labels=None, rows_per_sample=2, outputs={"o": SCALAR}) == "closeness"
    )
    for rows in (1, 2):
        with pytest.raises(SamplesError, match="its sign only"):
            resolve_metric("cosine", labels=None, rows_per_sample=rows, outputs={"o": SCALAR})


def test_pick_takes_the_first_or_the_named() -> None:
    assert pick({"a": LOGITS, "b": SCALAR}) is LOGITS
    assert pick({"a": LOGITS, "b": SCALAR}, "b") is SCALAR
    with pytest.raises(SamplesError, match="no output 'c'"):
        pick({"a": LOGITS}, "c")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([0, 5]), "Label 5 is out of range: the network tells 5"),
        (np.array([-1, 2]), "Label -1"),
        (np.array([0.5, 1.0]), "not whole"),
        (np.array([1, 2, 3]), "shape"),
    ],
)
def test_bad_labels_are_refused(labels: NDArray[np.generic], words: str) -> None:
    with pytest.raises(SamplesError, match=words):
        class_labels(labels, 5, 2)


def test_predictions_take_the_first_of_equals_and_mark_nan() -> None:
    logits = np.array([[1.0, 3.0, 3.0], [np.nan, 0.0, 1.0]])
    assert predictions(logits).tolist() == [1, -1]


def test_top_k_counts_ties_as_argmax_does() -> None:
    logits = np.array([[2.0, 2.0, 1.0], [2.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
    labels = np.array([0, 1, 0])
    assert top_k_hits(logits, labels, 1).tolist() == [True, False, False]
    assert top_k_hits(logits, labels, 2).tolist() == [True, True, False]
    assert top_k_hits(LOGITS, CLASSES, 1).tolist() == (LOGITS.argmax(1) == CLASSES).tolist()


@pytest.mark.parametrize(("scores", "other"), [([0.2, 0.8], 0.8), ([-3.0, 0.4], 0.0)])
def test_one_score_becomes_two_classes(scores: list[float], other: float) -> None:
    logits = logits_of(np.array(scores)[:, None])
    assert logits[0].tolist() == [other, scores[0]]
    assert predictions(logits).tolist() == [0, 1]


def test_logits_need_one_vector_a_row() -> None:
    with pytest.raises(SamplesError, match="no class scores"):
        logits_of(np.zeros((2, 3, 4)))


def test_cosine_is_exact_at_its_edges() -> None:
    a = np.array([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [1e-200, 0.0], [1e200, 1e200]])
    b = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0], [-1e-200, 0.0], [2e200, 2e200]])
    assert cosine_rows(a, b) == pytest.approx([1.0, 1.0, 0.0, -1.0, 1.0])
    assert cosine_rows(LOGITS, LOGITS).tolist() == [1.0] * 20
    with pytest.raises(SamplesError, match="row by row"):
        cosine_rows(a, b[:, :1])


def test_scalars_are_cosines_of_pairs_or_the_one_output() -> None:
    pairs = scalars_of(LOGITS, 2)
    assert pairs == pytest.approx(np.sum(UNIT[0::2] * UNIT[1::2], axis=1))
    assert scalars_of(SCALAR, 1).tolist() == SCALAR[:, 0].tolist()
    with pytest.raises(SamplesError, match="no single number"):
        scalars_of(LOGITS, 1)

"""Changes to expect of other samples: right on average, and steadier than a count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whet.core.contract import Drop
from whet.core.evidence import Changes, Quality
from whet.measure.edge import expected_changes, margins, told_changes
from whet.measure.metrics import top_k_hits
from whet.measure.quality import judge

CLASSES = 8


def answers(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of an original that is right in four cases of five, of a noisy copy, and labels."""
    labels = rng.integers(0, CLASSES, n)
    before = rng.normal(size=(n, CLASSES))
    before[np.arange(n), labels] += 2.5
    return before, before + 0.15 * rng.normal(size=before.shape), labels


@pytest.mark.parametrize("k", [1, 5])
def test_a_margin_above_nothing_is_a_hit(k: int) -> None:
    before, _, labels = answers(np.random.default_rng(0), 3000)
    np.testing.assert_array_equal(margins(before, labels, k) > 0, top_k_hits(before, labels, k))


def test_it_is_what_comes_and_is_steadier_than_what_was_counted() -> None:
    rng = np.random.default_rng(1)
    before, after, labels = answers(rng, 20_000)
    old, new = margins(before, labels), margins(after, labels)
    lost, gained = ((old > 0) & (new <= 0)).mean(), ((old <= 0) & (new > 0)).mean()
    told, counted = [], []
    for _ in range(200):
        some = rng.choice(len(old), 220, replace=False)
        changes = expected_changes(old[some], new[some])
        assert changes is not None
        told.append((changes.lost, changes.gained))
        one, other = old[some], new[some]
        counted.append((((one > 0) & (other <= 0)).mean(), ((one <= 0) & (other > 0)).mean()))
    np.testing.assert_allclose(np.mean(told, axis=0), (lost, gained), rtol=0.15)
    assert (np.std(told, axis=0) < 0.7 * np.std(counted, axis=0)).all()


def test_movement_is_told_apart_where_counts_are_equal() -> None:
    """No answer changes, but of those nearer to the edge some would, had they been moved as far."""
    before = np.tile([0.5, 0.5, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0], 25)
    moved = before + np.tile([0.0, 0.0, -0.6, 0.6, 0.0, 0.0, 0.0, 0.0], 25)
    assert (moved > 0).all()
    changes, none = expected_changes(before, moved), expected_changes(before, before)
    assert changes is not None
    assert none is not None
    assert none.lost == 0
    assert changes.lost == pytest.approx(0.25 * 0.25)  # a quarter stands there, and as many move so


finite = st.floats(-50, 50, width=32)


@given(arrays(np.float64, 40, elements=finite), arrays(np.float64, 40, elements=finite))
def test_shares_are_shares(before: np.ndarray, after: np.ndarray) -> None:
    changes = expected_changes(before, after)
    assert changes is not None
    right = float((before > 0).mean())
    assert 0 <= changes.lost <= right + 1e-12
    assert 0 <= changes.gained <= 1 - right + 1e-12


@given(arrays(np.float64, 40, elements=finite.filter(lambda x: x != 0)))
def test_what_does_not_move_changes_nothing(margin: np.ndarray) -> None:
    changes = expected_changes(margin, margin)
    assert changes is not None
    assert (changes.lost, changes.gained) == (0, 0)


@given(
    arrays(np.float64, 40, elements=finite.filter(lambda x: abs(x) > 0.01)), st.floats(0.1, 10.0)
)
def test_another_scale_changes_nothing(margin: np.ndarray, scale: float) -> None:
    changes = expected_changes(margin, scale * margin)
    assert changes is not None
    assert (changes.lost, changes.gained) == (0, 0)


def test_infinite_scores_are_left_out() -> None:
    margin = np.array([1.0, np.inf, -np.inf, -0.5, 2.0])
    changes = expected_changes(margin, 0.75 * margin)
    assert changes is not None
    assert (changes.lost, changes.gained) == (0, 0)
    assert expected_changes(margin[1:3], margin[1:3]) is None


def softmax(logits: np.ndarray) -> np.ndarray:
    each = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = (each / each.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def judged(before: np.ndarray, after: np.ndarray, labels: np.ndarray, metric: str) -> Quality:
    return judge(
        metric,
        {"y": before},
        {"y": after},
        labels,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
    )


def told(before: np.ndarray, after: np.ndarray, labels: np.ndarray, metric: str) -> Changes:
    found = judged(before, after, labels, metric).changes
    assert found is not None
    return found


@pytest.mark.parametrize("metric", ["top1", "top5", "agreement"])
def test_sharp_probabilities_tell_what_their_logits_tell(metric: str) -> None:
    before, after, labels = answers(np.random.default_rng(5), 2000)
    before, after = 4 * before, 4 * after  # as sure as a trained network
    wanted = told(before, after, labels, metric)
    found = told(softmax(before), softmax(after), labels, metric)
    assert found.lost == pytest.approx(wanted.lost, rel=0.01)
    assert found.gained == pytest.approx(wanted.gained, rel=0.01)


def test_probabilities_in_steps_tell_nearly_the_same() -> None:
    """Where small ones became 0, nobody knows how far below a step they lie."""
    before, after, labels = answers(np.random.default_rng(6), 2000)
    before, after = 4 * before, 4 * after
    wanted = told(before, after, labels, "top1")
    found = told(softmax(before), np.round(softmax(after) * 255) / 255, labels, "top1")
    assert 0.7 * wanted.lost < found.lost < 1.1 * wanted.lost


@pytest.mark.parametrize("metric", ["top1", "agreement"])
def test_one_probability_tells_what_its_logit_tells(metric: str) -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, 2000)
    before = 6 * rng.normal(size=(2000, 1)) + np.where(labels == 1, 9, -9)[:, None]
    after = before + rng.normal(size=before.shape)
    wanted = told(before, after, labels, metric)
    sigmoid = [(1 / (1 + np.exp(-x))).astype(np.float32) for x in (before, after)]
    found = told(*sigmoid, labels, metric)
    assert found.lost == pytest.approx(wanted.lost, rel=0.01)
    assert found.gained == pytest.approx(wanted.gained, rel=0.01)


@pytest.mark.parametrize("metric", ["top1", "top5", "agreement"])
def test_judgements_of_classes_carry_them(metric: str) -> None:
    before, after, labels = answers(np.random.default_rng(4), 400)
    quality = judged(before, after, labels, metric)
    assert quality.changes is not None
    assert quality.changes.lost > 0
    if metric == "agreement":  # every change is a loss there
        assert quality.changes.gained == 0
        assert quality.changes.lost == pytest.approx(quality.drop, abs=0.02)


@pytest.mark.parametrize("turned", [0.0, 0.3])
def test_answers_that_are_no_scores_tell_nothing(turned: float) -> None:
    """Shares of 0 and 1 have no margins: what was counted stands."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    others = np.where(rng.random(300) < turned, (labels + 1) % 3, labels)
    hard = np.eye(3, dtype=np.float32)
    assert told_changes(hard[labels], hard[others], labels) is None


def test_shares_that_became_nothing_tell_nothing() -> None:
    scores = np.exp(np.random.default_rng(0).normal(size=(300, 10)))
    shares = scores / scores.sum(axis=1, keepdims=True)
    assert told_changes(shares, np.zeros_like(shares), shares.argmax(axis=1)) is None

"""A judged output whose metric hardly sees a constant is held to the original's as well."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.core.contract import Drop, DropKind
from whet.core.evidence import Quality, Verdict
from whet.measure.constant import constant_loss
from whet.measure.quality import judge
from whet.measure.scoring import SCORERS, Answers

Array = NDArray[np.generic]
Floats = NDArray[np.float64]
N = 400


def check(
    metric: str,
    before: Array,
    after: Array,
    labels: Array | None = None,
    drop: Drop = Drop(0.01),  # noqa: B008 - frozen
) -> Quality:
    return judge(
        metric,
        {"out": before},
        {"out": after},
        labels,
        rows_per_sample=1,
        max_drop=drop,
        confidence=0.95,
        per_class=False,
    )


def softmax(logits: Floats) -> Floats:
    each = np.exp(logits)
    return each / each.sum(axis=-1, keepdims=True)


def anchors(seed: int = 0) -> Floats:
    """Class scores of a detector: (n, anchors, classes), none of them sure."""
    return softmax(0.15 * np.random.default_rng(seed).normal(size=(N, 64, 5)))


def test_a_constant_in_place_of_class_scores_fails() -> None:
    scores = anchors()
    for constant in (np.full_like(scores, 0.2), np.broadcast_to(scores.mean(axis=0), scores.shape)):
        found = check("auto", scores, constant)
        assert found.metric == "cosine"
        assert found.bound <= found.allowed, "the cosine alone would let it pass"
        assert found.verdict is Verdict.FAILED
        assert [(c.name, c.rule) for c in found.outputs] == [("out", "constant")]


def test_answers_shrunk_towards_their_mean_fail() -> None:
    scores = anchors()
    assert (
        check("cosine", scores, scores.mean(axis=0) + 0.3 * (scores - scores.mean(axis=0))).verdict
        is Verdict.FAILED
    )


def test_rounding_of_eight_bits_passes() -> None:
    scores = anchors()
    step = (scores.max() - scores.min()) / 255
    found = check("cosine", scores, np.round(scores / step) * step)
    assert found.verdict is Verdict.PASSED
    assert found.outputs[0].rule == "constant"
    assert found.outputs[0].bound < 0.01


def test_an_embedding_whose_cosine_tells_a_constant_needs_no_guard() -> None:
    rng = np.random.default_rng(1)
    embedding = rng.normal(size=(N, 64))
    found = check("cosine", embedding, embedding + 0.13 * rng.normal(size=(N, 64)))
    assert found.drop == pytest.approx(0.0084, abs=0.001)
    assert found.verdict is Verdict.PASSED
    assert found.outputs == ()


def test_a_detector_without_scores_is_none_although_its_boxes_are_right() -> None:
    """Boxes in pixels that vary, and two scores: the cosine sees the pixels alone."""
    rng = np.random.default_rng(1)
    boxes, scores = rng.uniform(0, 640, (N, 50, 4)), rng.random((N, 50, 2))
    found = np.concatenate([boxes, scores], axis=2)
    silent = np.concatenate([boxes, 0 * scores], axis=2)
    rounded = found + np.array([8, 8, 8, 8, 0.01, 0.01]) * rng.normal(size=found.shape)
    assert check("cosine", found, silent).verdict is Verdict.FAILED
    assert check("cosine", found, rounded).verdict is Verdict.PASSED


@pytest.mark.parametrize("lost", ["zero", "mean", "other"])
def test_a_detector_that_lost_one_class_of_many_is_none(lost: str) -> None:
    """4 boxes in pixels, 1 objectness, 80 scores; most of them near nothing."""
    rng = np.random.default_rng(2)
    boxes, objects = rng.uniform(0, 640, (N, 30, 4)), rng.random((N, 30, 1))
    scores = rng.random((N, 30, 80)) ** 6
    want = np.concatenate([boxes, objects, scores], axis=2).astype(np.float32)
    have = want.copy()
    own = want[:, :, 50]
    have[:, :, 50] = {"zero": 0.0, "mean": own.mean(), "other": rng.permutation(own)}[lost]
    found = check("cosine", want, have)
    assert found.drop < 1e-3
    assert found.verdict is Verdict.FAILED
    rounded = want + np.float32(0.02) * want.std(axis=(0, 1)) * rng.normal(size=want.shape)
    assert check("cosine", want, rounded.astype(np.float32)).verdict is Verdict.PASSED


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("lost", ["mean", "zero"])
def test_a_class_that_most_anchors_never_show_may_not_be_lost(lost: str, beside: bool) -> None:
    """Each anchor shows a class in one input of hundreds, and most of them not at all."""
    rng = np.random.default_rng(3)
    fires = rng.random((600, 60, 40)) < 0.001
    scores = np.where(fires, rng.uniform(0.3, 1, fires.shape), 1e-4 * rng.random(fires.shape))
    boxes = rng.uniform(0, 640, (600, 60, 4))
    want = np.concatenate([boxes, scores], axis=2).astype(np.float32)
    have = want.copy()
    have[:, :, 20] = 0 if lost == "zero" else want[:, :, 20].mean(axis=0)
    rounded = want.copy()
    rounded[:, :, 4:] = np.round(255 * want[:, :, 4:]) / 255
    for answer, verdict in ((have, Verdict.FAILED), (rounded, Verdict.PASSED)):
        if beside:
            same = np.eye(4)[np.arange(600) % 4]
            found = judge(
                "agreement",
                {"out": same, "boxes": want},
                {"out": same, "boxes": answer},
                None,
                rows_per_sample=1,
                max_drop=Drop(0.01),
                confidence=0.95,
                per_class=False,
            )
        else:
            found = check("cosine", want, answer)
        assert found.verdict is verdict


def test_an_embedding_in_whole_numbers_is_guarded_as_numbers() -> None:
    rng = np.random.default_rng(3)
    want = np.round(100 + 5 * rng.normal(size=(N, 64))).astype(np.int8)
    lost = np.broadcast_to(np.round(want.mean(axis=0)).astype(np.int8), want.shape)
    near = (want + rng.integers(-1, 2, want.shape)).astype(np.int8)
    found = check("cosine", want, lost)
    assert found.bound <= found.allowed, "the cosine alone would let it pass"
    assert found.verdict is Verdict.FAILED
    assert check("cosine", want, near).verdict is Verdict.PASSED


@pytest.mark.parametrize("mask", [-np.inf, -1e9])
def test_masks_make_no_constant_good(mask: float) -> None:
    """The judged cosine leaves them out, and so does the one of the constant."""
    rng = np.random.default_rng(1)
    embedding = rng.normal(size=(N, 64))
    masked = np.where(np.arange(64) == (np.arange(N)[:, None] % 20 == 0), mask, embedding)
    found = check("cosine", masked, masked + 0.13 * rng.normal(size=(N, 64)))
    assert found.verdict is Verdict.PASSED
    assert found.outputs == ()


@given(st.floats(0.0, 6.0), st.floats(0.0, 0.5), st.integers(0, 99))
@settings(max_examples=40)
def test_nothing_passes_that_loses_more_than_a_fifth_of_what_a_constant_loses(
    offset: float, noise: float, seed: int
) -> None:
    """The floor and the guard meet: wherever the constant's loss lies, a tenth of it is the limit."""
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(N, 32)) + offset
    before /= np.linalg.norm(before, axis=1, keepdims=True)
    after = before + noise * rng.normal(size=(N, 32)) * before.std(axis=0)
    found = check("cosine", before, after)
    constant = np.broadcast_to(before.mean(axis=0), before.shape)
    lost = check("cosine", before, constant).drop
    if found.verdict is Verdict.PASSED:
        assert found.drop <= lost / 5


@pytest.mark.parametrize("share", [0.005, 0.02, 0.05])
def test_a_classifier_of_rare_faults_may_not_say_always_no(share: float) -> None:
    rng = np.random.default_rng(2)
    fault = rng.random(4000) < share
    before = np.stack([np.zeros(4000), np.where(fault, 3.0, -3.0) + rng.normal(size=4000)], axis=1)
    never = np.broadcast_to(before.mean(axis=0), before.shape)
    slight = before + 0.02 * rng.normal(size=before.shape)
    floor = Drop(0.06)
    labels = fault.astype(np.int64)
    assert check("agreement", before, never, drop=floor).verdict is Verdict.FAILED
    assert check("top1", before, never, labels, drop=floor).verdict is Verdict.FAILED
    assert check("agreement", before, slight, drop=floor).verdict is Verdict.PASSED
    assert check("top1", before, slight, labels, drop=floor).verdict is Verdict.PASSED


def test_a_generous_floor_for_errors_lets_no_constant_pass() -> None:
    rng = np.random.default_rng(3)
    truth = 20 + rng.normal(size=(N, 1))
    before = truth + 0.5 * rng.normal(size=(N, 1))
    floor = Drop(1.5, DropKind.RELATIVE)
    constant = np.full_like(before, before.mean())
    found = check("mae", before, constant, truth, floor)
    assert found.bound <= found.allowed
    assert found.verdict is Verdict.FAILED
    better = truth + 0.2 * rng.normal(size=(N, 1))
    assert check("mae", before, better, truth, floor).verdict is Verdict.PASSED


def test_where_labels_tell_half_of_what_a_constant_loses_may_go() -> None:
    """A floor of 0.3 where always saying "no" costs 0.5 is held besides, one of 0.2 isn't."""
    rng = np.random.default_rng(4)
    labels = np.arange(2000) % 2
    before = np.stack([np.zeros(2000), np.where(labels, 3.0, -3.0)], axis=1)
    other = before + rng.normal(size=before.shape)
    for floor, held in ((0.2, False), (0.3, True)):
        found = check("top1", before, other, labels, Drop(floor))
        assert bool(found.outputs) is held
    assert found.outputs[0].allowed == 0.25


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("metric", ["top1", "f1", "agreement"])
def test_no_constant_class_does_better_than_the_one_reckoned_with(
    metric: str, classes: int
) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.choice(classes, 300, p=rng.dirichlet(np.ones(classes)))
    before = np.eye(classes)[np.where(rng.random(300) < 0.8, labels, 0)]

    def answers(after: Floats) -> Answers:
        return Answers(before, after, labels, 1, 0.95, 0, Drop(0.01))

    own = SCORERS[metric](answers(before)).reference
    losses = [
        own - SCORERS[metric](answers(np.tile(np.eye(classes)[c], (300, 1)))).candidate
        for c in range(classes)
    ]
    assert constant_loss(metric, answers(before), own) == pytest.approx(min(losses))


def test_sure_probabilities_are_class_scores_although_their_length_is_one() -> None:
    rows = softmax(20 * np.eye(6)[np.arange(N) % 6])
    assert check("auto", rows, rows).metric == "agreement"

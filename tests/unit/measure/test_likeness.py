"""Whether an untouched engine gives the original's answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whet.core.contract import Drop
from whet.core.evidence import Quality, Verdict
from whet.errors import EngineError
from whet.measure.likeness import SAME_WITHIN, check_alike_in_form, difference, untouched_quality
from whet.measure.quality import judge

RNG = np.random.default_rng(0)
ANSWERS = RNG.normal(size=(600, 8)).astype(np.float32)  # more than one chunk
Arrays = dict[str, NDArray[np.generic]]


def judged(want: Arrays, have: Arrays) -> Quality:
    quality = judge(
        "agreement",
        want,
        have,
        None,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
    )
    return untouched_quality(quality, want, have)


def test_rounding_is_the_same_whatever_the_number_of_samples() -> None:
    few = {"out": ANSWERS[:20]}
    found = judged(few, {"out": ANSWERS[:20] + np.float32(1e-6)})
    assert found.bound > found.allowed, "20 samples prove little of a share"
    assert found.same
    assert found.verdict is Verdict.PASSED
    assert found.difference is not None
    assert 0 < found.difference < 1e-5
    assert found.needed is None


def test_other_answers_are_judged_by_the_metric() -> None:
    other = np.roll(ANSWERS, 1, axis=1)
    found = judged({"out": ANSWERS}, {"out": other})
    assert not found.same
    assert found.verdict is Verdict.FAILED
    assert found.difference is not None
    assert found.difference > 0.5
    near = judged({"out": ANSWERS}, {"out": ANSWERS * np.float32(1.005)})
    assert not near.same
    assert near.verdict is Verdict.PASSED, "scores scaled: every first choice stays"


def test_one_wrong_row_of_many_is_a_difference() -> None:
    other = ANSWERS.copy()
    other[599] = 0
    assert difference({"out": ANSWERS}, {"out": other}) > SAME_WITHIN


def masked(answers: NDArray[np.float32], value: float) -> NDArray[np.float32]:
    """Most classes masked out, others than before in the second half of the rows."""
    found = answers.copy()
    found[:300, 2:] = found[300:, :5] = np.float32(value)
    return found


@pytest.mark.parametrize("value", [-1e4, -1e9, float(np.finfo(np.float32).min)])
def test_a_mask_hides_nothing_beside_it(value: float) -> None:
    want = masked(ANSWERS, value)
    other = masked(RNG.permutation(ANSWERS), value)
    assert difference({"out": want}, {"out": other}) > 0.1
    assert difference({"out": want}, {"out": masked(ANSWERS + np.float32(1e-6), value)}) < 1e-4
    assert difference({"out": want}, {"out": want * np.float32(1 - 1e-6)}) < 1e-5


@pytest.mark.parametrize("axis", [1, 2])
def test_scores_count_beside_boxes_in_pixels(axis: int) -> None:
    boxes = RNG.uniform(0, 640, size=(64, 100, 4))
    scores = RNG.uniform(0, 1, size=(64, 100, 1))
    want, wrong, near = (
        np.moveaxis(np.concatenate([boxes, s], axis=2).astype(np.float32), 2, axis)
        for s in (scores, scores[::-1], scores + RNG.normal(0, 1e-6, scores.shape))
    )
    assert difference({"out": want}, {"out": wrong}) > 0.1
    assert difference({"out": want}, {"out": near}) < 1e-5


def test_one_huge_value_hides_nothing_elsewhere() -> None:
    want = ANSWERS.copy()
    want[17, 3] = 400.0
    other = want.copy()
    other[5] = ANSWERS[6]
    other[9, 3] += np.float32(0.1)
    assert difference({"out": want}, {"out": other}) > 0.1
    other = want.copy()
    other[9, 3] += np.float32(0.1)
    assert difference({"out": want}, {"out": other}) > 0.02


@given(
    st.lists(st.sampled_from([1e-7, 1e-3, 1.0, 30.0]), max_size=3),
    st.sampled_from([10, 64, 600]),
)
@settings(max_examples=20)
def test_float32_sums_in_another_order_are_rounding(sizes: list[float], rows: int) -> None:
    rng = np.random.default_rng(rows)
    columns = np.array([1.0, 1.0, 1.0, 1.0, *sizes])
    hidden = rng.normal(size=(rows, 2000)).astype(np.float32)
    weights = (rng.normal(size=(2000, len(columns))) * columns).astype(np.float32)
    weights[1000:, 0] = -weights[:1000, 0]
    hidden[:, 1000:] = hidden[:, :1000]  # the first column cancels to rounding
    order = rng.permutation(2000)
    one = hidden @ weights
    two = hidden[:, order] @ weights[order]
    for want, have in ((one, two), (softmax(one), softmax(two)), (one.clip(0), two.clip(0))):
        assert difference({"out": want}, {"out": have}) < SAME_WITHIN


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits / 100 - (logits / 100).max(axis=1, keepdims=True))
    found: NDArray[np.float32] = raised / raised.sum(axis=1, keepdims=True)
    return found


def test_a_metric_or_output_that_failed_is_never_overruled() -> None:
    scores = np.zeros((600, 2), np.float32)
    tied = scores.copy()
    tied[:, 1] = 1e-7
    scores[0] = tied[0] = 1.0
    found = judged({"out": scores}, {"out": tied})
    assert found.difference is not None
    assert found.difference < SAME_WITHIN
    assert found.verdict is Verdict.FAILED
    assert not found.same
    faint = (1 + 1e-4 * ANSWERS).astype(np.float32)
    blurred = (faint + 3e-4 * RNG.normal(size=faint.shape) / 3).astype(np.float32)
    found = judged({"out": ANSWERS, "faint": faint}, {"out": ANSWERS, "faint": blurred})
    assert found.difference is not None
    assert found.difference < SAME_WITHIN
    assert [c.verdict for c in found.outputs] == [Verdict.FAILED]
    assert (found.verdict, found.same) == (Verdict.FAILED, False)


def test_with_a_floor_of_nothing_rounding_is_no_loss() -> None:
    want, have = {"out": ANSWERS}, {"out": ANSWERS + RNG.normal(0, 1e-5, ANSWERS.shape)}
    quality = judge(
        "cosine",
        want,
        have,
        None,
        rows_per_sample=1,
        max_drop=Drop(0.0),
        confidence=0.95,
        per_class=False,
    )
    assert quality.verdict is Verdict.FAILED, "every cosine lies below 1"
    assert untouched_quality(quality, want, have).same


def test_the_other_outputs_stay_in_the_record() -> None:
    want = {"a": ANSWERS, "b": ANSWERS}
    found = judged(want, {"a": ANSWERS, "b": ANSWERS + np.float32(1e-6)})
    assert found.same
    assert [c.name for c in found.outputs] == ["b"]


def test_every_output_counts_but_those_ignored() -> None:
    want = {"a": ANSWERS, "b": ANSWERS}
    have = {"a": ANSWERS, "b": -ANSWERS}
    assert difference(want, have) >= 2.0
    assert difference(want, have, ("b",)) == 0.0


def test_whole_numbers_may_flip_where_two_are_level() -> None:
    ids = np.arange(10_000).reshape(100, 100)
    flipped = ids.copy()
    flipped[0, :5] += 1
    assert difference({"ids": ids}, {"ids": flipped}) == pytest.approx(5e-4)
    assert difference({"ids": ids}, {"ids": ids + 1}) == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_on_one_side_only_is_no_likeness(value: float) -> None:
    other = ANSWERS.copy()
    other[3, 3] = value
    assert difference({"out": ANSWERS}, {"out": other}) == math.inf
    assert difference({"out": other}, {"out": other}) == 0.0
    found = judged({"out": ANSWERS}, {"out": other})
    assert (found.same, found.difference, found.verdict) == (False, None, Verdict.FAILED)


def test_another_shape_or_a_missing_output_is_refused_with_its_name() -> None:
    want = {"out": ANSWERS}
    with pytest.raises(EngineError, match="'out' has shape"):
        check_alike_in_form(want, {"out": ANSWERS[:, :3]})
    with pytest.raises(EngineError, match="'out' is missing"):
        check_alike_in_form(want, {"other": ANSWERS})
    check_alike_in_form(want, {}, ("out",))


def test_an_infinity_of_the_other_sign_is_another_answer() -> None:
    want = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    want[:, 2] = -np.inf
    have = want.copy()
    assert difference({"y": want}, {"y": have}) == 0
    have[3, 2] = np.inf
    assert difference({"y": want}, {"y": have}) == np.inf

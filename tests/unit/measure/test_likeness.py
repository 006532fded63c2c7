"""Whether an untouched engine gives the original's answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
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
    assert found.difference == pytest.approx(np.abs(ANSWERS - other).max() / np.abs(ANSWERS).max())
    near = judged({"out": ANSWERS}, {"out": ANSWERS * np.float32(1.005)})
    assert not near.same
    assert near.verdict is Verdict.PASSED, "scores scaled: every first choice stays"


def test_one_wrong_row_of_many_is_a_difference() -> None:
    other = ANSWERS.copy()
    other[599] = 0
    assert difference({"out": ANSWERS}, {"out": other}) > SAME_WITHIN


def test_every_output_counts_but_those_ignored() -> None:
    want = {"a": ANSWERS, "b": ANSWERS}
    have = {"a": ANSWERS, "b": -ANSWERS}
    assert difference(want, have) == pytest.approx(2.0)
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

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.search.decisions.labels import share_right, too_seldom_right

SCORES = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 3]]


def test_the_share_of_rows_whose_first_class_is_the_labels() -> None:
    assert share_right(SCORES, np.array([0, 1, 2, 2, 2])) == pytest.approx(0.6)
    assert share_right(SCORES[..., None, None], np.array([0.0, 1, 2, 3, 3])) == 1.0


@pytest.mark.parametrize("labels", [None, np.array([0, 1, 2, 3, 4]), np.full(5, 0.5)])
def test_labels_that_name_no_classes_tell_nothing(labels: np.ndarray | None) -> None:
    assert share_right(SCORES, labels) is None


@pytest.mark.parametrize("scores", [np.zeros((5, 1)), np.zeros(5), np.zeros((5, 3, 2))])
def test_outputs_without_classes_tell_nothing(scores: np.ndarray) -> None:
    assert share_right(scores, np.zeros(5, np.int64)) is None


@given(judged=st.floats(0.05, 1), gap=st.floats(-0.2, 0.2))
def test_about_as_often_is_often_enough(judged: float, gap: float) -> None:
    assert not too_seldom_right(judged * (1 + gap), judged)


@given(judged=st.floats(0.3, 1), classes=st.integers(5, 1000))
def test_other_classes_are_seen(judged: float, classes: int) -> None:
    assert too_seldom_right(1 / classes, judged)

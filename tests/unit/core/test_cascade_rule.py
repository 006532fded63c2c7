from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whet.core.cascade import Confidence, Gate, Measure
from whet.core.confidence import UNSURE, confidence_of, confidences, stages_of
from whet.errors import EngineError

scores = arrays(np.float32, (4, 3), elements=st.floats(-50, 50, width=32))


@given(scores, st.floats(0.1, 10), st.sampled_from(Measure))
def test_confidence_is_read_from_the_softmax(
    z: np.ndarray, temperature: float, measure: Measure
) -> None:
    scaled = z.astype(np.float64) / temperature
    p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    p = np.sort(p / p.sum(axis=1, keepdims=True), axis=1)
    want = p[:, -1] if measure is Measure.TOP else p[:, -1] - p[:, -2]
    got = confidences(z, temperature, measure)
    np.testing.assert_allclose(got, want, atol=1e-12)
    assert ((got >= 0) & (got <= 1)).all()


def test_probabilities_give_what_their_logits_do() -> None:
    z = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 5.0]])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    for measure in Measure:
        own = confidences(p, 2.0, measure, shares=True)
        np.testing.assert_allclose(own, confidences(z, 2.0, measure))


def test_a_masked_class_is_no_class_and_no_number_is_no_confidence() -> None:
    z = np.array([[1.0, 0.0, -np.inf], [np.nan, 0, 0], [np.inf, 0, 0], [-np.inf] * 3])
    got = confidences(z, 1.0, Measure.TOP)
    assert got[0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert got[1:].tolist() == [UNSURE] * 3
    assert confidences(np.ones((2, 1)), 1.0, Measure.TOP).tolist() == [UNSURE] * 2
    share = confidences(np.array([[1.0, 0.0], [-0.1, 1.1]]), 1.0, Measure.MARGIN, shares=True)
    assert share.tolist() == [1.0, UNSURE]


def test_a_pooled_output_is_scores_too_and_another_is_refused() -> None:
    z = np.array([[3.0, 0.0]], np.float32)
    rule = Confidence("logits", Measure.TOP)
    assert confidence_of(rule, {"logits": z.reshape(1, 2, 1, 1)}, 1.0) == confidence_of(
        rule, {"logits": z}, 1.0
    )
    for outputs in ({"other": z}, {"logits": z[0]}):
        with pytest.raises(EngineError, match="'logits'"):
            confidence_of(rule, outputs, 1.0)


def test_a_row_leaves_at_the_first_stage_whose_threshold_it_reaches() -> None:
    first, second = np.array([0.9, 0.5, 0.1, UNSURE]), np.array([0.1, 0.8, 0.2, 0.9])
    gates = [Gate(0.9, 1.0), Gate(0.8, 1.0)]
    assert stages_of([first, second], gates).tolist() == [0, 1, 2, 1]

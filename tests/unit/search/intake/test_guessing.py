from __future__ import annotations

import numpy as np
import pytest

from whet.core.evidence import Quality, Verdict
from whet.search.intake.guessing import (
    guess_share,
    no_better_than_guessing,
    original_notes,
    unlabelled_notes,
)


def scored(share: float, n: int, metric: str = "top1") -> Quality:
    return Quality(metric, n, share, share, 0.0, 0.0, 0.01, 0.95, Verdict.PASSED, "test")


def test_the_best_constant_guess_names_the_most_frequent_classes() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    assert guess_share("top1", labels, 3) == pytest.approx(0.6)
    assert guess_share("top5", labels, 3) == pytest.approx(1.0)
    assert guess_share("top1", np.array([0, 1]), 2) == 0.5


def test_metrics_without_a_constant_guess_and_missing_labels() -> None:
    labels = np.array([0, 1])
    assert guess_share("cosine", labels, 2) is None
    assert guess_share("top1", None, 2) is None
    assert guess_share("top1", np.array([0.5, 0.1]), 2) is None
    assert guess_share("top1", np.array([], dtype=np.int64), 2) is None


def test_a_random_network_is_told_and_a_trained_one_is_not() -> None:
    labels = np.arange(1000) % 10
    guess = guess_share("top1", labels, 10)
    assert guess is not None
    assert no_better_than_guessing(scored(0.104, 1000), guess)
    assert not no_better_than_guessing(scored(0.3, 64), guess)
    score, warning = original_notes(scored(0.104, 1000), guess)
    assert (score.where, warning.where) == ("original", "chance")
    assert score.reason.startswith("top-1 10.4 % on 1,000")
    assert "scores 10.0 %" in warning.reason
    assert "--weights" in warning.reason
    assert "the order of the classes" in warning.reason
    assert len(original_notes(scored(0.761, 64), guess)) == 1


def test_a_score_is_only_told_where_labels_give_one() -> None:
    assert original_notes(scored(1.0, 64, "cosine"), None) == ()


@pytest.mark.parametrize("metric", ["agreement", "cosine", "closeness"])
def test_what_is_taken_without_labels_is_told(metric: str) -> None:
    (note,) = unlabelled_notes("auto", metric, labelled=False)
    assert f"'{metric}'" in note.reason
    assert unlabelled_notes(metric, metric, labelled=False) == ()
    assert unlabelled_notes("auto", "top1", labelled=True) == ()


def test_a_classifier_that_nobody_announced_learns_what_to_name() -> None:
    (note,) = unlabelled_notes("auto", "closeness", labelled=False)
    assert "--metric agreement" in note.reason
    assert "--metric cosine" in note.reason

"""The user's own metric: each call is limited in time, and what goes wrong is told by its name."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from whet.errors import OptionError
from whet.measure.custom import guarded, load_metric, metric_limit_s, own_metric

OUTPUTS = {"y": np.arange(6.0).reshape(3, 2)}


def spinning() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "whet-metric"]


def test_a_metric_that_hangs_is_named_and_ended(tmp_path: Path) -> None:
    file = tmp_path / "m.py"
    file.write_text("def score(outputs, labels, reference):\n    while True:\n        pass\n")
    score = load_metric(f"{file}:score", 0.2)
    began = time.monotonic()
    with pytest.raises(OptionError, match=r"m\.py:score' had not returned after 0\.2 s") as refused:
        score(OUTPUTS, None, OUTPUTS)
    assert time.monotonic() - began < 5
    assert "budget" in refused.value.remedy
    until = time.monotonic() + 10
    while spinning() and time.monotonic() < until:
        time.sleep(0.05)
    assert spinning() == [], "it takes no core from what is measured next"


def test_a_call_sees_what_its_caller_set_and_its_answer_comes_back() -> None:
    def mean(outputs: object, labels: object, reference: object) -> object:
        return np.geterr()["divide"] == "raise"

    with np.errstate(divide="raise"):
        assert guarded("n:mean", mean, 5.0)(OUTPUTS, None, OUTPUTS) == 1.0
    with np.errstate(divide="ignore"):
        assert guarded("n:mean", mean, 5.0)(OUTPUTS, None, OUTPUTS) == 0.0


def test_what_a_call_raises_is_told_as_before() -> None:
    def fails(outputs: object, labels: object, reference: object) -> object:
        raise ValueError("no such column")

    with pytest.raises(OptionError, match="'n:fails' raised ValueError: no such column"):
        guarded("n:fails", fails)(OUTPUTS, None, OUTPUTS)


def test_the_limit_is_a_tenth_of_the_budget() -> None:
    assert metric_limit_s(900.0) == 90.0
    assert metric_limit_s(30.0) == 10.0
    assert metric_limit_s(None) == 600.0
    assert own_metric("top1", None) is None

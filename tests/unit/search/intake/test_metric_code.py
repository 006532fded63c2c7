from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import pytest

from whet.measure.custom import UserFunction, guarded, load_metric, own_metric
from whet.search.intake.metric_code import metric_digest

ANSWERS = {"y": np.arange(12, dtype=np.float32).reshape(6, 2)}
LABELS = np.array([0, 1, 0, 1, 0, 1])


def digest(file: Path) -> str:
    return metric_digest(f"{file}:score", ANSWERS, LABELS, own=load_metric(f"{file}:score"))


def test_a_metric_of_our_own_is_known_by_its_name() -> None:
    assert metric_digest("top1", ANSWERS, LABELS, own=own_metric("top1", None)) == ""


def test_a_changed_body_is_another_metric(tmp_path: Path) -> None:
    file = tmp_path / "metric.py"
    file.write_text("def score(outputs, labels, reference): return 1.0\n")
    before = digest(file)
    assert digest(file) == before
    file.write_text("def score(outputs, labels, reference): return 1.0  # other bytes\n")
    assert digest(file) != before


def test_a_changed_neighbour_is_another_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, near = tmp_path / "metric.py", tmp_path / "near_the_metric.py"
    near.write_text("A = 1.0\n")
    file.write_text(
        "from near_the_metric import A\ndef score(outputs, labels, reference): return A\n"
    )
    before = digest(file)
    near.write_text("A = 1.0  # other bytes\n")
    assert digest(file) != before
    monkeypatch.delitem(sys.modules, "near_the_metric")


def test_changed_data_is_noticed_by_the_score(tmp_path: Path) -> None:
    file, data = tmp_path / "metric.py", tmp_path / "weights.txt"
    file.write_text(
        "from pathlib import Path\n"
        "def score(outputs, labels, reference):\n"
        f"    return outputs['y'][:, 0] * float(Path({str(data)!r}).read_text())\n"
    )
    data.write_text("1")
    before = digest(file)
    data.write_text("2")
    assert digest(file) != before


def test_a_live_function_is_known_by_its_code_and_its_score() -> None:
    def known(function: UserFunction) -> str:
        return metric_digest(
            "notebook:score",
            ANSWERS,
            LABELS,
            own=guarded("notebook:score", function),
            function=function,
        )

    def written(body: str) -> UserFunction:
        names: dict[str, UserFunction] = {}
        exec(f"def score(outputs, labels, reference): {body}", {"np": np}, names)
        return names["score"]

    one = known(written("return 1.0"))
    assert known(written("return 1.0")) == one
    assert known(written("return 2.0")) != one
    assert known(written("return 1.0 if len(outputs) else 2.0")) != one
    assert known(functools.partial(lambda value, *_: value, 1.0)) != known(
        functools.partial(lambda value, *_: value, 2.0)
    )

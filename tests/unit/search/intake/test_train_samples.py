"""Samples that networks may learn from never judge, and what judges is never learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whet.core.contract import Contract
from whet.errors import SamplesError
from whet.search.intake.given import Given
from whet.search.intake.parts import Parts, parts_of
from whet.search.intake.take_in import Taken, take_in
from whet.search.stop import Stop

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
MORE = np.random.default_rng(1).normal(size=(30, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHET_CACHE", str(tmp_path / "cache"))


def both(train: object) -> tuple[Taken, Parts]:
    torch.manual_seed(0)
    given = Given(torch.nn.Linear(3, 2), {"x": ROWS}, train=train)
    with take_in(given, Contract(), None, lambda _: None, Stop()) as found:
        return found, parts_of(found.store, found.train, given, found.space)


def test_without_them_nothing_is_said() -> None:
    _, parts = both(None)
    assert parts.train is None
    assert all(note.where != "train" for note in parts.summary.notes)


def test_what_judges_is_left_out_of_them_and_that_is_said() -> None:
    _, parts = both({"x": np.concatenate([MORE, ROWS[:7]])})
    assert parts.train is not None
    kept = parts.train.rows(np.arange(len(parts.train)))["x"]
    np.testing.assert_array_equal(kept, MORE)
    said = [note.reason for note in parts.summary.notes if note.where == "train"]
    assert said[0] == "Networks may learn from 30 more samples."
    assert said[1].startswith("7 of them were left out")


def test_the_parts_are_the_same_with_them_and_without() -> None:
    alone, beside = both(None)[1], both({"x": MORE})[1]
    for name in ("repair", "select", "certify"):
        one, two = (
            getattr(parts, name).rows(np.arange(len(getattr(parts, name))))
            for parts in (alone, beside)
        )
        np.testing.assert_array_equal(one["x"], two["x"])


def test_what_was_learnt_from_others_is_not_found_again() -> None:
    spaces = {both(train)[0].space.folder for train in (None, {"x": MORE}, {"x": MORE[:20]})}
    assert len(spaces) == 3


def test_only_samples_that_judge_are_refused() -> None:
    with pytest.raises(SamplesError, match="All training samples are among the samples"):
        both({"x": ROWS[:9]})


def test_samples_of_another_kind_are_refused() -> None:
    with pytest.raises(SamplesError, match=r"z \(float32\), the samples x \(float32\)"):
        both({"z": MORE})

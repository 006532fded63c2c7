"""Labels are learnt where the original is about as often right by them as by those that judge."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from whet.core.contract import Contract
from whet.core.spec import Arrays
from whet.data.readers import open_samples
from whet.data.store import SampleStore, write_store
from whet.search.ladder.labels import labels_option

RIGHT = np.arange(60) % 4


class Original:
    """Right about all rows but the first few; its only input is the right class."""

    def outputs(self, part: SampleStore, *_: object, **__: object) -> Arrays:
        given = np.concatenate([b["x"] for b in part.batches(16)])[:, 0].astype(np.int64)
        return {"scores": np.eye(4, dtype=np.float32)[given]}


def store(folder: Path, labels: np.ndarray | None) -> SampleStore:
    arrays = {"x": RIGHT[:, None].astype(np.float32)}
    samples = open_samples(arrays if labels is None else {**arrays, "labels": labels})
    return write_store(samples, folder, limit=100, seed=0)


def asked(
    tmp_path: Path, labels: np.ndarray | None, *, metric: str = "top1"
) -> tuple[dict[str, str], list[str]]:
    said: list[str] = []
    trials = SimpleNamespace(
        stop=SimpleNamespace(check=lambda: None),
        tell=SimpleNamespace(once=lambda _, reason: said.append(reason)),
        climbing_s=lambda: 60.0,
    )
    setup = SimpleNamespace(
        learnt_from=store(tmp_path / "learnt", labels),
        select=store(tmp_path / "select", RIGHT),
        metric=metric,
        contract=Contract(),
        seed=0,
        workdir=tmp_path,
        references=Original(),
        original_ms=1.0,
    )
    return labels_option(setup, trials), said  # type: ignore[arg-type]


def test_right_labels_are_learnt(tmp_path: Path) -> None:
    noisy = np.where(np.arange(60) < 9, (RIGHT + 1) % 4, RIGHT)
    assert asked(tmp_path, noisy) == ({"labels": "scores"}, [])


@pytest.mark.parametrize("off", [(RIGHT + 1) % 4, np.full(60, 9), np.linspace(0, 1, 60)])
def test_other_classes_are_left_aside_and_said(tmp_path: Path, off: np.ndarray) -> None:
    option, (said,) = asked(tmp_path, off)
    assert option == {}
    assert said.startswith("Labels")
    assert "left aside" in said


def test_nothing_is_said_where_there_is_nothing_to_learn(tmp_path: Path) -> None:
    assert asked(tmp_path / "a", None) == ({}, [])
    assert asked(tmp_path / "b", RIGHT, metric="agreement") == ({}, [])

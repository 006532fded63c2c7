from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from whet.core.spec import Arrays
from whet.errors import EngineError, MeasurementError
from whet.measure.answers import load_outputs, write_outputs


class Rows:
    """A feed of rows whose length may differ."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:
        for start in range(0, len(self.lengths), size):
            part = self.lengths[start : start + size]
            rows = np.zeros((len(part), max(part)), np.float32)
            for i, length in enumerate(part):
                rows[i, :length] = start + i + 1
            yield {"x": rows}


def run(inputs: Arrays) -> Arrays:
    x = inputs["x"].astype(np.float32)
    return {"same": x, "sum/1": x.sum(axis=1)}


def test_every_row_is_written_in_order(tmp_path: Path) -> None:
    names = write_outputs(run, Rows([3] * 10), tmp_path / "out", 4, fixed=False)
    assert names == ("same", "sum/1")
    outputs = load_outputs(tmp_path / "out")
    assert list(outputs) == ["same", "sum/1"]
    assert outputs["sum/1"].tolist() == [3.0 * (i + 1) for i in range(10)]
    assert outputs["same"].shape == (10, 3)


def test_longer_batches_make_the_file_grow_with_zeros(tmp_path: Path) -> None:
    write_outputs(run, Rows([1, 1, 3, 2, 5]), tmp_path, 2, fixed=False)
    same = load_outputs(tmp_path)["same"]
    assert same.tolist() == [
        [1, 0, 0, 0, 0],
        [2, 0, 0, 0, 0],
        [3, 3, 3, 0, 0],
        [4, 4, 0, 0, 0],
        [5, 5, 5, 5, 5],
    ]


def test_fixed_batches_are_filled_up_and_cut_again(tmp_path: Path) -> None:
    seen = []

    def watched(inputs: Arrays) -> Arrays:
        seen.append(len(inputs["x"]))
        return run(inputs)

    write_outputs(watched, Rows([2] * 7), tmp_path, 4, fixed=True)
    assert seen == [4, 4]
    assert load_outputs(tmp_path)["sum/1"].tolist() == [2.0 * (i + 1) for i in range(7)]


def test_outputs_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no batch axis"):
        write_outputs(lambda _: {"y": np.float32(1.0)}, Rows([1]), tmp_path, 1, fixed=False)  # type: ignore[dict-item]


@pytest.mark.parametrize("rows", [1, 5])
def test_outputs_with_other_rows_are_refused_with_the_flag(tmp_path: Path, rows: int) -> None:
    with pytest.raises(EngineError, match=r"'y' has shape \(\d, 2\) for 3 rows") as caught:
        write_outputs(lambda _: {"y": np.ones((rows, 2))}, Rows([1] * 3), tmp_path, 3, fixed=False)
    assert "--ignore-output y" in caught.value.remedy


@pytest.mark.parametrize("damage", ["missing", "truncated", "rows"])
def test_damaged_answers_are_refused(tmp_path: Path, damage: str) -> None:
    write_outputs(run, Rows([2] * 3), tmp_path, 1, fixed=False)
    file = tmp_path / "0.npy"
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:40])
    else:
        np.save(file, np.zeros((2, 2), np.float32))
    with pytest.raises(MeasurementError, match="can't be read"):
        load_outputs(tmp_path)

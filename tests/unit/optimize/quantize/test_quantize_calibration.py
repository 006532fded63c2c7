from __future__ import annotations

import numpy as np
import pytest

from whet.errors import RequirementError
from whet.optimize.graph.quantize.calibration import Rows, need_rows


def values(rows: Rows) -> list[float]:
    return [float(row["image"].reshape(-1)[0]) for row in rows]


@pytest.fixture
def numbers(digits):
    feed = type(digits.repair)
    return feed(image=np.arange(50, dtype=np.float32).reshape(50, 1, 1, 1))


def test_rows_are_drawn_once_in_order_and_one_at_a_time(numbers) -> None:
    rows = Rows(numbers, 10, seed=3)
    first = values(rows)
    assert len(rows) == len(first) == len(set(first)) == 10
    assert first == sorted(first) == values(rows), "the same rows every time"
    assert next(iter(rows))["image"].shape == (1, 1, 1, 1)


def test_the_seed_decides(numbers) -> None:
    assert values(Rows(numbers, 10, 1)) != values(Rows(numbers, 10, 2))
    assert values(Rows(numbers, 10, 1)) == values(Rows(numbers, 10, 1))


def test_more_rows_than_there_are_means_all(numbers) -> None:
    assert values(Rows(numbers, 1000, 0)) == list(range(50))


def test_only_the_chosen_rows_are_read(numbers) -> None:
    """Decoding costs time: three rows of a thousand are three reads."""
    read: list[int] = []

    class Counting:
        def __len__(self) -> int:
            return 1000

        def batches(self, size, limit=None):
            raise AssertionError("all rows up to the last would be read")

        def rows(self, indices):
            read.extend(indices.tolist())
            return {"image": indices.astype(np.float32).reshape(-1, 1, 1, 1)}

    got = values(Rows(Counting(), 3, seed=0))
    assert len(read) == 3
    assert got == [float(index) for index in read]


def test_without_samples_it_is_refused(digits, context) -> None:
    with pytest.raises(RequirementError, match="needs samples"):
        need_rows(digits.graph, context(repair=None), "quantize-nncf")


def test_samples_of_another_shape_are_refused(digits, context) -> None:
    wrong = type(digits.repair)(image=np.zeros((4, 8, 8, 1), np.uint8))
    with pytest.raises(RequirementError, match=r"don't fit.*fold-transform"):
        need_rows(digits.graph, context(repair=wrong), "quantize-nncf")

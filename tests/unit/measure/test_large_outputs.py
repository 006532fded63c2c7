"""Outputs of any size are compared in little memory, and as if they were compared whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from whet.core.contract import Drop
from whet.core.evidence import Quality
from whet.measure.chunks import row_chunks
from whet.measure.guards import hold
from whet.measure.likeness import difference
from whet.measure.quality import judge
from whet.measure.statistics import RatioMoments

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

ROWS, VALUES = 48, 3 * 300 * 300


def maps(folder: Path, *, masked: bool = False) -> tuple[Array, Array]:
    """An original's answers and a candidate's on disk, 52 MB each."""
    rng = np.random.default_rng(0)
    written = []
    for name in ("want", "have"):
        shape = (ROWS, 3, 300, 300)
        array = open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape)
        for row in range(ROWS):
            array[row] = np.random.default_rng(row).normal(size=shape[1:])
            array[row] += 1e-3 * rng.normal(size=shape[1:]) if name == "have" else 0
            array[row, :, :5] = -np.inf if masked else array[row, :, :5]
        array.flush()
        written.append(np.load(folder / f"{name}.npy", mmap_mode="r"))
    return written[0], written[1]


def peak_bytes(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def judged(metric: str, want: Array, have: Array) -> Quality:
    both = {"out": want, "beside": want}, {"out": have, "beside": have}
    return judge(
        metric,
        *both,
        None,
        rows_per_sample=1,
        max_drop=Drop(0.01),
        confidence=0.95,
        per_class=False,
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "closeness"])
def test_large_answers_are_judged_in_less_memory_than_they_fill(
    tmp_path: Path, metric: str, masked: bool
) -> None:
    want, have = maps(tmp_path, masked=masked)
    assert peak_bytes(lambda: judged(metric, want, have)) < want.nbytes
    assert peak_bytes(lambda: difference({"out": want}, {"out": have})) < want.nbytes


def test_what_is_found_does_not_depend_on_the_chunks(tmp_path: Path) -> None:
    want, have = maps(tmp_path)
    assert len(row_chunks(want)) > 10
    a, b = (x.reshape(ROWS, -1).astype(np.float64) for x in (want, have))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    found = judged("cosine", want, have)
    assert found.candidate == pytest.approx(cosines.mean(), abs=1e-12)
    loss = ((a - b) ** 2).mean() / (2 * a.var(axis=0).mean())
    (beside,) = (check for check in found.outputs if check.name == "beside")
    assert beside.loss == pytest.approx(loss, rel=1e-9)
    spread = np.abs(a - a.mean(axis=0)).mean(axis=0)
    losses = np.abs(a - b) / spread
    mean = losses.mean(axis=0)
    moments = RatioMoments(VALUES, 0.01)
    away = a - a.mean(axis=0)
    tilt = away * ((away < 0).mean(axis=0) - (away > 0).mean(axis=0))
    moments.see(losses, (np.abs(away) + tilt) / spread - 1)
    bounds, number = moments.limits(0.95).deciding(0.01)
    close = judged("closeness", want, have)
    assert close.bound == pytest.approx(bounds.upper, rel=1e-9)
    assert close.drop == pytest.approx(mean[number], rel=1e-9)


def test_what_all_rows_have_in_common_takes_no_digits_from_the_variance() -> None:
    rng = np.random.default_rng(1)
    spread = rng.normal(size=(500, 8))
    want, have = 1e3 + spread, 1e3 + spread + 0.01 * rng.normal(size=(500, 8))
    found = hold("out", want, have, rows=1, allowed=0.01, confidence=0.95)
    expected = ((want - have) ** 2).mean() / (2 * spread.var(axis=0).mean())
    assert found.loss == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(0, 4), (5, 0), (7, 3), (7, 1 << 21), (6, 1 << 19)])
def test_chunks_cover_all_rows_in_whole_samples(shape: tuple[int, int]) -> None:
    array = np.broadcast_to(np.float32(0), shape)
    rows = 3 if shape[0] == 6 else 1
    chunks = row_chunks(array, rows)
    assert [i for c in chunks for i in range(*c.indices(shape[0]))] == list(range(shape[0]))
    assert all(c.start % rows == 0 and (c.stop - c.start) % rows == 0 for c in chunks)

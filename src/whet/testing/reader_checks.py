"""What the contract suite of readers looks at: samples, and what a reading leaves behind."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from whet.core.spec import TensorSpec
from whet.data.sample import Sample

__all__ = ["fits", "nothing_left_behind", "same"]

_PATIENCE_S = 5.0


def same(have: Sample, want: Sample) -> bool:
    """Whether two samples are equal in everything."""
    return (
        (have.name, have.label, len(have.rows)) == (want.name, want.label, len(want.rows))
        and type(have.label) is type(want.label)
        and all(
            list(a) == list(b)
            and all(a[k].dtype == b[k].dtype and np.array_equal(a[k], b[k]) for k in a)
            for a, b in zip(have.rows, want.rows, strict=True)
        )
    )


def fits(sample: Sample, inputs: tuple[TensorSpec, ...]) -> bool:
    """Whether every row is what the reader says that its inputs are, without the batch axis."""
    return all(
        set(row) == {spec.name for spec in inputs}
        and all(
            row[spec.name].dtype.name == spec.dtype
            and row[spec.name].ndim == len(spec.shape) - 1
            and all(
                isinstance(want, str) or have == want
                for have, want in zip(row[spec.name].shape, spec.shape[1:], strict=True)
            )
            for spec in inputs
        )
        for row in sample.rows
    )


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """Fail if a thread or an open file below ``folder`` is there afterwards that wasn't before."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + _PATIENCE_S
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left
    gc.collect()
    files = [f.path for f in psutil.Process().open_files()]
    assert not [f for f in files if Path(f).is_relative_to(folder.resolve())]

"""Large arrays a few rows at a time: as many as fill a fixed number of bytes; pure.

A row may be ten class scores or a map of five million. A fixed number of rows would be slow for
the one and take gigabytes for the other, so the values in them are counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_sample", "differing", "row_chunks"]

# 4 MB as float64: a few temporaries of it are nothing, and numpy's own overhead is less.
_VALUES = 1 << 19


def row_chunks(array: NDArray[np.generic], rows_per_sample: int = 1) -> list[slice]:
    """Slices that cover all rows in order, each of whole samples and about half a million values.

    Args:
        array: (rows, ...), whose values are counted.
        rows_per_sample: rows that stay together.

    Returns:
        At least one sample each; none for an array without rows.
    """
    rows = len(array)
    sample = max(1, array.size // max(1, rows) * rows_per_sample)
    step = max(1, _VALUES // sample) * rows_per_sample
    return [slice(start, start + step) for start in range(0, rows, step)]


def by_sample(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Means over the ``rows`` that belong to one sample: (n, numbers) to (samples, numbers)."""
    return values if rows == 1 else values.reshape(-1, rows, values.shape[1]).mean(axis=1)


def differing(
    want: NDArray[np.generic], have: NDArray[np.generic], rows: int
) -> NDArray[np.float64]:
    """The share of each sample's values that differ, (samples,)."""
    shares = [
        (want[part] != have[part]).reshape(len(want[part]) // rows, -1).mean(axis=1)
        for part in row_chunks(want, rows)
    ]
    return np.concatenate(shares).astype(np.float64)

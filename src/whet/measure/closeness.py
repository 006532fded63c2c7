"""How near each number of an output is to the original's: for outputs that nobody explained; pure.

Theory of operation. Without labels and without a word on what a network is for, neither its
first choice (boxes aren't class scores) nor a direction (a cosine sees no scale, and of a single
number only the sign) can stand for its answer. What holds for any meaning is the relative error
of every number, each by its own yardstick:

    loss_ij = |c_ij - r_ij| / S_j,    S_j = mean over i of |r_ij - mean(r_j)|.

An answer that ignores its input costs 1. Of the mean losses of all numbers the worst counts, so
that no small one hides behind a large one (intersection-union test; Berger 1982). A number that
hardly varies is measured against its own size, one that is always zero against the mean yardstick
of the others. Of whole numbers the share that differs is the loss.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whet.errors import SamplesError
from whet.measure.chunks import row_chunks

__all__ = ["closeness_losses"]

Array = NDArray[np.generic]
Floats = NDArray[np.float64]

_CONSTANT = 1e-6  # variation below this share of its size is rounding


def closeness_losses(want: Array, have: Array) -> Floats:
    """The loss of each row, by the number of the output that loses most in the mean.

    Args:
        want: the original's answers, (rows, ...); where it isn't finite, only the same will do.
        have: the candidate's.

    Returns:
        (rows,), 0 where equal, 1 in the mean for an answer that ignores its input.

    Raises:
        SamplesError: the shapes differ.
    """
    if want.shape != have.shape:
        raise SamplesError(
            f"Outputs of shapes {want.shape} and {have.shape} can't be compared number by number.",
            "Judge an output that both models give in the same shape.",
        )
    parts = row_chunks(want)
    if want.dtype.kind not in "fc":
        differ = [(want[p] != have[p]).reshape(len(want[p]), -1).mean(axis=1) for p in parts]
        return np.concatenate(differ).astype(np.float64)
    scale = _scale(want, parts)
    sums = sum(_losses(want[p], have[p], scale).sum(axis=0) for p in parts)
    worst = [int(np.argmax(sums))]
    columns = (
        _losses(_columns(want[p])[:, worst], _columns(have[p])[:, worst], scale[worst])
        for p in parts
    )
    return np.concatenate([column[:, 0] for column in columns])


def _columns(rows: Array) -> Array:
    return rows.reshape(len(rows), -1)


def _scale(want: Array, parts: list[slice]) -> Floats:
    """The yardstick of each number."""
    count, total, size, spread = np.zeros((4, want[:1].size))
    for part in parts:
        values, finite = _finite(want[part])
        count += finite.sum(axis=0)
        total += values.sum(axis=0)
        size += np.abs(values).sum(axis=0)
    count = np.maximum(1, count)
    middle = total / count
    for part in parts:
        values, finite = _finite(want[part])
        spread += np.where(finite, np.abs(values - middle), 0).sum(axis=0)
    size, spread = size / count, spread / count
    scale: Floats = np.where(spread > _CONSTANT * size, spread, size)
    known = scale[scale > 0]
    return np.where(scale > 0, scale, known.mean() if known.size else 1.0)


def _losses(want: Array, have: Array, scale: Floats) -> Floats:
    a, finite = _finite(want)
    b, _ = _finite(have)
    unlike = _columns(want) != _columns(have)
    losses: Floats = np.where(finite, np.abs(a - b) / scale, unlike.astype(np.float64))
    return losses


def _finite(rows: Array) -> tuple[Floats, NDArray[np.bool_]]:
    flat = _columns(rows).astype(np.float64)
    finite = np.isfinite(flat)
    return np.where(finite, flat, 0.0), finite

"""Several requests as one batch for the engine, and its outputs as the answers of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays
from whet.errors import EngineError

__all__ = ["joined", "parted"]


def joined(requests: Sequence[Arrays], rows: int, filled: int) -> Arrays:
    """All rows of some requests, one after another.

    Args:
        requests: inputs of each, with equal names and equal shapes but for the rows.
        rows: of all.
        filled: rows to have, the last one repeated.
    """
    first = requests[0]
    if len(requests) == 1 and rows == filled:
        return first
    found = {}
    for name, array in first.items():
        parts = [request[name] for request in requests]
        if filled > rows:
            parts.append(np.repeat(parts[-1][-1:], filled - rows, axis=0))
        found[name] = np.concatenate(parts) if len(parts) > 1 else array
    return found


def parted(
    outputs: Mapping[str, NDArray[np.generic]], rows: Sequence[int], filled: int
) -> list[Arrays]:
    """What each request gets of the outputs of a batch.

    Args:
        outputs: of the batch.
        rows: of each request, in order.
        filled: rows that were run.

    Raises:
        EngineError: an output has another number of rows, so nobody knows whose they are.
    """
    if len(rows) == 1 and rows[0] == filled:
        return [dict(outputs)]
    for name, array in outputs.items():
        if not array.ndim or len(array) != filled:
            raise EngineError(f"Output '{name}' has no row for each of the {filled} rows.")
    ends = np.cumsum(rows)
    return [
        {name: array[end - count : end] for name, array in outputs.items()}
        for end, count in zip(ends, rows, strict=True)
    ]

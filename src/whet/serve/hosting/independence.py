"""Whether a row's answer depends on the rows beside it; if it does, requests must not share a batch.

It is tried: the recorded inputs are answered one by one and all together. Scales that are found over
a whole batch (dynamic quantisation) or normalisation over it show themselves there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays

__all__ = ["rows_stand_alone"]

_ROWS = 8
_TOLERANCE = 1e-3  # of the largest magnitude: kernels for other batch sizes sum in another order


def rows_stand_alone(
    run: Callable[[Arrays], Mapping[str, NDArray[np.generic]]], inputs: Arrays
) -> bool:
    """Whether rows get the same answers alone as together.

    Args:
        run: the engine.
        inputs: some rows; fewer than two show nothing, so they don't stand alone.
    """
    rows = min(_ROWS, *(len(array) for array in inputs.values()))
    if rows < 2:
        return False
    few = {name: array[:rows] for name, array in inputs.items()}
    together = run(few)
    for row in range(rows):
        alone = run({name: array[row : row + 1] for name, array in few.items()})
        if not all(_same(together[name], row, alone[name]) for name in together):
            return False
    return True


def _same(together: NDArray[np.generic], row: int, alone: NDArray[np.generic]) -> bool:
    if not together.ndim or alone.shape != (1, *together.shape[1:]):
        return False
    mine, own = together[row], alone[0]
    if mine.dtype.kind != "f":
        return bool(np.array_equal(mine, own))
    most = float(np.abs(together).max(initial=0.0, where=np.isfinite(together)))
    return bool(np.allclose(mine, own, rtol=0, atol=_TOLERANCE * most, equal_nan=True))

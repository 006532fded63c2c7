"""The temperature at which class scores tell how often they are right; pure.

The negative log likelihood of the right classes is convex in 1 / T, so one search over its
logarithm finds the best (Guo et al., "On calibration of modern neural networks", 2017).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["temperature_of"]

_LOW, _HIGH = math.log(0.05), math.log(20.0)
_GOLDEN = (math.sqrt(5) - 1) / 2
_STEPS = 24  # leave an interval of a ten-thousandth of the first


def temperature_of(
    scores: NDArray[np.generic], classes: NDArray[np.int64], *, shares: bool = False
) -> float:
    """The best temperature, between 1/20 and 20; 1 where no row has finite scores.

    Args:
        scores: (n, classes), or with further axes of size 1.
        classes: the right one of each row.
        shares: the scores are probabilities, whose logarithms are taken.
    """
    rows = scores.reshape(len(scores), -1).astype(np.float64)
    if shares:
        rows = np.log(np.maximum(rows, 1e-12))
    sound = np.isfinite(rows).all(axis=1)
    if not sound.any():
        return 1.0
    rows, wanted = rows[sound], classes[sound]
    own = rows[np.arange(len(rows)), wanted]

    def loss(log_temperature: float) -> float:
        scaled = rows * math.exp(-log_temperature)
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float(np.mean(total - own * math.exp(-log_temperature)))

    low, high = _LOW, _HIGH
    for _ in range(_STEPS):
        reach = _GOLDEN * (high - low)
        if loss(high - reach) <= loss(low + reach):
            high = low + reach
        else:
            low = high - reach
    return math.exp((low + high) / 2)

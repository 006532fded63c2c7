"""How confident the answers of a stage are, and at which stage of a cascade each row leaves; pure.

A cascade runs engines one after another, the quickest first. The confidence of a row's answer is
read from its class scores z, divided by a temperature T that makes them tell how often they are
right (Guo et al., "On calibration of modern neural networks", 2017): with p = softmax(z / T) it is
the largest p, or by how much that is above the second. A row leaves at the first stage whose
threshold it reaches, and all others go on to the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from whet.core.cascade import Confidence, Gate, Measure
from whet.errors import EngineError

__all__ = ["UNSURE", "confidence_of", "confidences", "stages_of"]

UNSURE = -1.0
"""The confidence of a row whose scores aren't numbers: below every threshold."""


def confidence_of(
    rule: Confidence, outputs: Mapping[str, NDArray[np.generic]], temperature: float
) -> NDArray[np.float64]:
    """The confidence of each row (n,), between 0 and 1 or `UNSURE`.

    Raises:
        EngineError: there is no such output, or it holds no scores.
    """
    scores = outputs.get(rule.output)
    if scores is None or scores.ndim < 2:
        raise EngineError(
            f"The cascade reads its confidence from the output '{rule.output}', which holds no"
            " scores by class here.",
            "Take a variant that is no cascade.",
        )
    return confidences(scores, temperature, rule.measure, shares=rule.shares)


def confidences(
    scores: NDArray[np.generic], temperature: float, measure: Measure, *, shares: bool = False
) -> NDArray[np.float64]:
    """The confidence of each row of class scores.

    Args:
        scores: (n, classes), or with further axes of size 1.
        temperature: that they are divided by.
        measure: of the probabilities.
        shares: they are probabilities, whose logarithms are the scores.
    """
    rows = scores.reshape(len(scores), -1).astype(np.float64)
    if rows.shape[1] < 2:
        return np.full(len(rows), UNSURE)
    if shares:
        with np.errstate(divide="ignore", invalid="ignore"):
            rows = np.log(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        top = rows.max(axis=1, keepdims=True)
        parts = np.exp((rows - top) / temperature)
        found = 1 / parts.sum(axis=1)
        if measure is Measure.MARGIN:
            second = np.partition(parts, -2, axis=1)[:, -2]
            found = found * (1 - second)
    known: NDArray[np.float64] = np.where(np.isfinite(found), found, UNSURE)
    return known


def stages_of(
    confidence: Sequence[NDArray[np.float64]], gates: Sequence[Gate]
) -> NDArray[np.int64]:
    """The stage at which each row leaves, where every early stage answered all rows.

    Args:
        confidence: (n,) of each early stage.
        gates: of each early stage.
    """
    leaves = np.stack([c >= g.threshold for c, g in zip(confidence, gates, strict=True)])
    early = leaves.argmax(axis=0)
    stage: NDArray[np.int64] = np.where(leaves.any(axis=0), early, len(gates)).astype(np.int64)
    return stage

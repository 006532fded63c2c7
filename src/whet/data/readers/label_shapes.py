"""What labels are that aren't one number a sample, and what can be done with them instead; pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whet.errors import SamplesError

__all__ = ["is_one_number", "not_one_number"]

_LOOKED_AT = 1000  # rows
_SURE_KEYS = ("labels", "label", "class_index")  # called so, an array is no input
_OF_CLASSES = ("one-hot", "the odds of each class")
_INSTEAD = (
    "Leave them out to be judged by how close the answers stay to the original's (--metric cosine),"
    " or score them in a metric of your own (--metric file.py:function): give each sample its number"
    " as its label, numpy.arange(n, dtype=float), and look the true answers up by it."
)


def is_one_number(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape holds one value a sample."""
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def not_one_number(
    rows: NDArray[np.generic],
    shape: tuple[int, ...],
    source: str,
    key: str | None = None,
    *,
    single: bool = False,
) -> SamplesError:
    """What to raise about such labels.

    Args:
        rows: the first of them, which tell one-hot labels from others.
        shape: of all.
        source: where they come from.
        key: of the array, which may be no label but an input that is called like one.
        single: there is one row, the label of one sample.
    """
    kind = f"{rows.dtype}{list(shape[1:] if single else shape)}"
    said = f"The label of {source} is {kind}" if single else f"The labels of {source} are {kind}"
    if rows.dtype.kind not in "buif":
        return SamplesError(
            f"{said}, no numbers.",
            "Give one class index a sample, in the order of the network's classes, or one score.",
        )
    if not shape:
        return SamplesError(f"{said}, one number for all.", "Give one label a sample.")
    what = "an array" if len(shape) > 2 else _meaning(rows[:_LOOKED_AT].astype(np.float64))
    instead = _INSTEAD
    if what in _OF_CLASSES:
        instead = f"Give {'label.argmax()' if single else 'labels.argmax(1)'}."
        said = f"{said}: {what}, not the index of a class."
    else:
        said = f"{said}: {what} for each sample, not one number."
    if key is not None and key not in _SURE_KEYS:
        instead += f" If '{key}' is an input of the network, say that there are no labels (--label-key '')."
    return SamplesError(said, instead)


def _meaning(rows: NDArray[np.float64]) -> str:
    """What several numbers a sample are, as far as the numbers tell."""
    binary = bool(np.isin(rows, (0.0, 1.0)).all())
    odds = bool((rows >= 0).all()) and bool(np.allclose(rows.sum(axis=1), 1, atol=1e-3))
    if odds and len(rows):
        return _OF_CLASSES[0] if binary else _OF_CLASSES[1]
    return "several classes" if binary and len(rows) else f"{rows.shape[1]} numbers"

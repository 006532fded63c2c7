"""In which axis the rows of one input differ, and what to do about rows that differ otherwise; pure."""

from __future__ import annotations

import numpy as np

from whet.core.spec import Dim, TensorSpec
from whet.errors import SamplesError

__all__ = ["differing", "filled", "free_axes", "shape_remedy", "values_beside"]

_MOST_AXES = 8
_MOST_CHANNELS = 4


def free_axes(dims: tuple[Dim, ...], spec: TensorSpec) -> tuple[int, ...]:
    """The axes one of which may differ: those with a symbol, else all.

    Args:
        dims: of a row.
        spec: it is of, for the error.

    Raises:
        SamplesError: a row has too many axes.
    """
    if len(dims) > _MOST_AXES:
        raise SamplesError(
            f"Rows of {spec} have {len(dims)} axes.", f"They may have {_MOST_AXES} at most."
        )
    declared = tuple(axis for axis, dim in enumerate(dims) if isinstance(dim, str))
    return declared or tuple(range(len(dims)))


def filled(dims: tuple[Dim, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """What the first row must look like: its own sizes where a symbol stands."""
    if len(dims) != len(shape):
        return tuple(dim if isinstance(dim, int) else 1 for dim in dims)
    return tuple(
        dim if isinstance(dim, int) else size for dim, size in zip(dims, shape, strict=True)
    )


def differing(shape: tuple[int, ...], first: tuple[int, ...]) -> list[int]:
    """The axes in which two shapes of equal rank differ."""
    pairs = zip(shape, first, strict=True)
    return [axis for axis, (size, before) in enumerate(pairs) if size != before]


def shape_remedy(
    shape: tuple[int, ...], first: tuple[int, ...], free: tuple[int, ...], axis: int | None
) -> str:
    """What to do about a row of another shape; empty where it may be of that shape.

    Args:
        shape: of the row.
        first: of the first row.
        free: the axes one of which may differ.
        axis: the one that does, once that is known.
    """
    if 0 in shape:
        return "A sample that holds nothing must be left out."
    if len(shape) != len(first):
        return "All samples must have the same number of axes."
    apart = differing(shape, first)
    if len({*apart} | ({axis} if axis is not None else set())) > 1:
        return (
            "Samples may differ in one axis, such as the length of a signal: pad or cut the others"
            " to one size."
        )
    if not {*apart} <= {*free}:
        return "The network takes one size there: pad or cut the samples to it."
    few = all(max(shape[i], first[i]) <= _MOST_CHANNELS for i in apart)
    if apart and few and len(shape) > 2:
        return "All pictures must have the same number of channels."
    return ""


def values_beside(shape: tuple[int, ...], axis: int) -> int:
    """Values for each step along an axis."""
    return int(np.prod([*shape[:axis], *shape[axis + 1 :]], dtype=np.int64))

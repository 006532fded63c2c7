"""Names, datatypes and shapes of a model's inputs and outputs.

A dimension is an ``int`` (fixed) or a ``str`` (a named symbol such as
``"batch"``); the same symbol must have the same size wherever it occurs in
one call.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.errors import InputError

__all__ = ["Arrays", "Dim", "Signature", "TensorSpec"]

Dim = int | str
Arrays = dict[str, NDArray[np.generic]]


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor: ``dtype`` is numpy's name (``"float32"``, ``"int64"``, ``"uint8"``)."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]

    def concrete(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with each symbol replaced by its size.

        Raises:
            KeyError: a symbol has no size.
        """
        return tuple(sizes[d] if isinstance(d, str) else d for d in self.shape)

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(str(d) for d in self.shape)}]"


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model takes and gives, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batch_symbol(self) -> str | None:
        """The symbol of the leading axis that all inputs share, if there is one."""
        leading = {spec.shape[0] if spec.shape else None for spec in self.inputs}
        (symbol,) = leading if len(leading) == 1 else (None,)
        return symbol if isinstance(symbol, str) else None

    def bind(self, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, int]:
        """Check arrays against the inputs and return the size of each symbol.

        Raises:
            InputError: a missing or unknown name, another dtype, rank or size.
        """
        want = {spec.name: spec for spec in self.inputs}
        if set(arrays) != set(want):
            raise InputError(
                f"The inputs are named {sorted(arrays)}, the model takes {sorted(want)}.",
                "Give exactly these names.",
            )
        sizes: dict[str, int] = {}
        for name, spec in want.items():
            _bind_one(spec, arrays[name], sizes)
        return sizes


def _conversion(have: np.dtype[np.generic], spec: TensorSpec) -> str:
    """How to get the right datatype without losing what the values say."""
    if have.kind == "f" and spec.dtype == "uint8":
        return (
            "Give the raw values 0 to 255: what was done to them before, such as scaling and"
            " normalising, is inside the model."
        )
    if have.kind == "f" and not spec.dtype.startswith("float"):
        return "Give whole numbers as the model was given them: rounded ones mean something else."
    return f"Convert it with .astype('{spec.dtype}')."


def _bind_one(spec: TensorSpec, array: NDArray[np.generic], sizes: dict[str, int]) -> None:
    if array.dtype.name != spec.dtype:
        raise InputError(
            f"Input '{spec.name}' has dtype {array.dtype.name}, the model takes {spec.dtype}.",
            _conversion(array.dtype, spec),
        )
    if array.ndim != len(spec.shape):
        raise InputError(
            f"Input '{spec.name}' has shape {array.shape}, the model takes {spec}.",
            "Give an array of that rank; the first axis is usually the batch.",
        )
    for axis, (have, dim) in enumerate(zip(array.shape, spec.shape, strict=True)):
        want = sizes.setdefault(dim, have) if isinstance(dim, str) else dim
        if have == want:
            continue
        named = isinstance(dim, str)
        must = f"'{dim}' is {want} elsewhere" if named else f"must have {want}"
        raise InputError(
            f"Input '{spec.name}' has shape {array.shape}, the model takes {spec}:"
            f" axis {axis} has {have} and {must}.",
            "Make the sizes agree."
            if named
            else "Give arrays of the size that the model was made for.",
        )

"""Arrays of other libraries, such as torch's tensors, taken by numpy's own protocol; pure."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from whet.errors import InputError

__all__ = ["OF_TENSORS", "ArrayLike", "array_of"]

OF_TENSORS = (
    "Of a torch tensor give tensor.detach().cpu().numpy(), with .float() before .numpy() where it"
    " is bfloat16."
)


@runtime_checkable
class ArrayLike(Protocol):
    """Whatever gives an array when numpy asks it; lists and numbers don't say so of themselves."""

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]: ...


def array_of(value: object, name: str, kind: type[InputError] = InputError) -> NDArray[np.generic]:
    """The array, without a copy where its library allows it.

    Args:
        value: an array of any library, a list or a number.
        name: what it is, for the error.
        kind: of the error.

    Raises:
        InputError: of that kind; its library refuses, or a list is ragged.
    """
    try:
        return np.asarray(value)
    except Exception as error:  # array-likes of other libraries may raise anything
        why = str(error).partition("\n")[0].rstrip(".")
        raise kind(
            f"{name} is a {type(value).__name__} that can't be read as an array ({why}).",
            OF_TENSORS,
        ) from error

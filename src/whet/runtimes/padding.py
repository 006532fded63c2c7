"""Sizes rounded up by padding, for engines that answer a size faster the second time.

An engine that takes any sequence length prepares itself anew whenever the
length changes, and longer still for a length it has never seen. Rounded up to
a multiple of eight, a few sizes stand for all: inputs get zeros at the end,
and what the outputs then hold too much is cut off again. Zero is what
attention masks call "nothing here", so only a network with a mask gives the
same answers; which ones do is for the search to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import Arrays, Signature, TensorSpec
from whet.errors import OptionError

__all__ = ["Padding"]


@final
class Padding:
    """Pads inputs and crops outputs of one signature.

    Args:
        signature: of the session; symbols that were fixed already replaced.
        round_up: symbols with the multiple that their size is rounded up to.

    Raises:
        OptionError: a symbol that the inputs don't have, or a multiple below 1.
    """

    __slots__ = ("_first", "_inputs", "_multiples", "_outputs", "_symbols")

    def __init__(self, signature: Signature, round_up: Mapping[str, int]) -> None:
        self._symbols = tuple(round_up)
        self._multiples = tuple(round_up.values())
        self._inputs = tuple(_axes(spec, self._symbols) for spec in signature.inputs)
        self._outputs = tuple(
            (spec.name, axes) for spec in signature.outputs if (axes := _axes(spec, self._symbols))
        )
        # Where to read each symbol's size: an input, and its axis.
        self._first = tuple(
            _place_of(place, symbol, self._inputs) for place, symbol in enumerate(self._symbols)
        )
        for symbol, multiple in round_up.items():
            if multiple < 1:
                raise OptionError(
                    f"{symbol} can't be rounded up to a multiple of {multiple}.",
                    "Give 1 or more.",
                )

    def sizes(self, arrays: Sequence[NDArray[np.generic]]) -> tuple[int, ...] | None:
        """Sizes of the symbols in these inputs; ``None`` where none needs padding."""
        sizes = tuple(arrays[index].shape[axis] for index, axis in self._first)
        needed = any(size % multiple for size, multiple in zip(sizes, self._multiples, strict=True))
        return sizes if needed else None

    def pad(self, arrays: Sequence[NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        """The inputs, in the order of the signature, with zeros at the end."""
        padded: list[NDArray[np.generic]] = []
        for array, axes in zip(arrays, self._inputs, strict=True):
            if axes:
                shape = list(array.shape)
                for axis, place in axes:
                    shape[axis] += -shape[axis] % self._multiples[place]
                whole = np.zeros(shape, dtype=array.dtype)
                whole[tuple(slice(size) for size in array.shape)] = array
                padded.append(whole)
            else:
                padded.append(array)
        return padded

    def crop(self, outputs: Arrays, sizes: Sequence[int]) -> Arrays:
        """The outputs at the sizes that the inputs had before."""
        for name, axes in self._outputs:
            array = outputs[name]
            cut = [slice(None)] * array.ndim
            for axis, place in axes:
                cut[axis] = slice(sizes[place])
            outputs[name] = np.ascontiguousarray(array[tuple(cut)])
        return outputs


def _axes(spec: TensorSpec, symbols: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Axes of a tensor that get padded, each with its symbol's place."""
    return tuple(
        (axis, symbols.index(dim)) for axis, dim in enumerate(spec.shape) if dim in symbols
    )


def _place_of(
    place: int, symbol: str, inputs: Sequence[tuple[tuple[int, int], ...]]
) -> tuple[int, int]:
    for index, axes in enumerate(inputs):
        for axis, of in axes:
            if of == place:
                return index, axis
    raise OptionError(
        f"The model's inputs have no dynamic size called '{symbol}' to round up.",
        "Name one of the symbols in its inputs, and don't fix it.",
    )

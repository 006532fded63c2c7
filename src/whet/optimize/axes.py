"""Which axes stay dynamic and what their symbols are called; pure.

Exporters and files name the same axis in many ways (``s18``, ``N``,
``batch_size``, a symbol per input). Here it ends with one symbol ``batch``
for the leading axis and one ``sequence`` for the second axis of token inputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from whet.core.spec import Arrays, Dim, TensorSpec

__all__ = ["BATCH", "SEQUENCE", "canonical_specs", "canonical_symbols", "resized"]

BATCH = "batch"
SEQUENCE = "sequence"


def canonical_symbols(inputs: Iterable[TensorSpec]) -> dict[str, str]:
    """New names for the symbols of a model's inputs.

    The leading symbols all become ``batch``; the second symbols of int64
    matrices (token ids, masks) become ``sequence``; others keep their name,
    made a plain word that nobody else has.
    """
    specs = tuple(inputs)
    names: dict[str, str] = {}
    for spec in specs:
        if spec.shape and isinstance(spec.shape[0], str):
            names[spec.shape[0]] = BATCH
    for spec in specs:
        if len(spec.shape) == 2 and spec.dtype in {"int64", "int32"}:
            second = spec.shape[1]
            if isinstance(second, str):
                names.setdefault(second, SEQUENCE)
    for spec in specs:
        for dim in spec.shape:
            if isinstance(dim, str) and dim not in names:
                names[dim] = _word(dim, set(names.values()))
    return names


def _word(symbol: str, taken: set[str]) -> str:
    stem = re.sub(r"\W+", "_", symbol).strip("_") or "size"
    stem = stem if stem[0].isalpha() else f"n_{stem}"
    number, name = 1, stem
    while name in taken:
        number, name = number + 1, f"{stem}_{number + 1}"
    return name


def canonical_specs(inputs: Iterable[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The same inputs with canonical symbols."""
    specs = tuple(inputs)
    names = canonical_symbols(specs)

    def dims(shape: tuple[Dim, ...]) -> tuple[Dim, ...]:
        return tuple(names[d] if isinstance(d, str) else d for d in shape)

    return tuple(TensorSpec(s.name, s.dtype, dims(s.shape)) for s in specs)


def resized(inputs: Iterable[TensorSpec], example: Arrays, sizes: Mapping[str, int]) -> Arrays:
    """Example inputs with other sizes along named axes, by cutting or repeating rows.

    The values stay real (token ids, pixels), so that what runs on them is
    what runs in use.
    """
    out: Arrays = {}
    for spec in inputs:
        array = example[spec.name]
        for axis, dim in enumerate(spec.shape):
            if isinstance(dim, str) and dim in sizes:
                picks = [i % array.shape[axis] for i in range(sizes[dim])]
                array = array.take(picks, axis=axis)
        out[spec.name] = array
    return out

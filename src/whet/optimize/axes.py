"""Which axes stay dynamic and what their symbols are called; pure.

Exporters and files name the same axis in many ways (``s18``, ``N``,
``batch_size``, a symbol per input). Here it ends with one symbol ``batch``
for the leading axis, and with ``sequence`` for the second axis of token inputs:
one for all that share their length, ``sequence_2`` for another length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from whet.core.spec import Arrays, Dim, TensorSpec

__all__ = [
    "BATCH",
    "SEQUENCE",
    "canonical_specs",
    "canonical_symbols",
    "resized",
    "told_apart",
]

BATCH = "batch"
SEQUENCE = "sequence"
_SEQUENCES = re.compile(r"sequence(_\d+)?")


def canonical_symbols(
    inputs: Iterable[TensorSpec], samples: Iterable[TensorSpec] = ()
) -> dict[str, str]:
    """New names for the symbols of a model's inputs.

    The leading symbols all become ``batch``; the second symbols of integer
    matrices (token ids, masks) become ``sequence``, and ``sequence_2`` and so
    on where inputs state different ones and no samples of several lengths show
    that they are always equal; others keep their name, made a plain word that
    nobody else has.

    A symbol that only numbers an axis of its input (files whose author named
    none) says nothing of being different: it is the same as another one unless
    the samples have other sizes there.

    Args:
        inputs: of the model.
        samples: what is known of the same inputs, by name: a size or symbol for each axis.
    """
    specs = tuple(inputs)
    names: dict[str, str] = {}
    for spec in specs:
        if spec.shape and isinstance(spec.shape[0], str):
            names[spec.shape[0]] = BATCH
    names |= _sequences([s for s in specs if _second(s) not in names], samples)
    for spec in specs:
        for dim in spec.shape:
            if isinstance(dim, str) and dim not in names:
                names[dim] = _word(dim, set(names.values()))
    return names


def _second(spec: TensorSpec) -> Dim:
    return spec.shape[1] if len(spec.shape) == 2 else 0


def _sequences(specs: Iterable[TensorSpec], samples: Iterable[TensorSpec]) -> dict[str, str]:
    """The symbols of sequences, each with its name."""
    known = {spec.name: _second(spec) for spec in samples}
    stated: list[tuple[str, Dim | None]] = []
    numbered: list[tuple[str, Dim | None]] = []
    for spec in specs:
        symbol = _second(spec)
        if isinstance(symbol, str) and spec.dtype in {"int64", "int32"}:
            only = re.fullmatch(re.escape(spec.name) + r"(_dynamic_axes)?_\d+", symbol)
            (numbered if only else stated).append((symbol, known.get(spec.name)))
    first = dict(reversed(stated))
    # Samples have a symbol of their own where rows differ in length, the same one where two
    # inputs never differ from each other (`told_apart`). One size in all rows shows nothing.
    leader: dict[Dim | None, str] = {}
    same = {
        symbol: leader.setdefault(first[symbol], symbol)
        if isinstance(first[symbol], str)
        else symbol
        for symbol, _ in stated
    }
    for symbol, size in numbered:
        like = (s for s, other in first.items() if None in {size, other} or size == other)
        same[symbol] = next(like, symbol)
        first.setdefault(same[symbol], size)
    taken = {symbol for symbol in same if _SEQUENCES.fullmatch(symbol)}
    names: dict[str, str] = {symbol: symbol for symbol in taken}
    for group in same.values():
        if group not in names:
            names[group] = _word(SEQUENCE, taken)
            taken.add(names[group])
    return {symbol: names[group] for symbol, group in same.items()}


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


class _Place(NamedTuple):
    """An axis that has a symbol."""

    name: str
    axis: int
    symbol: str


def told_apart(inputs: Iterable[TensorSpec], rows: Iterable[Arrays]) -> tuple[TensorSpec, ...]:
    """The inputs with different symbols for sizes that differ in some row.

    Readers call every axis in which rows differ by one name; two inputs have
    one length only if they have it in each row.

    Args:
        inputs: of the samples.
        rows: one at a time; read no further than until all are told apart.
    """
    specs = tuple(inputs)
    places = [
        _Place(spec.name, axis, dim)
        for spec in specs
        for axis, dim in enumerate(spec.shape)
        if axis and isinstance(dim, str)
    ]
    # Axes that have the same symbol and, in all rows so far, the same sizes.
    alike = _parted(places, lambda place: place.symbol)
    waiting = iter(rows)
    while any(len(group) > 1 for group in alike) and (row := next(waiting, None)) is not None:
        sizes = {place: row[place.name].shape[place.axis] for place in places}
        alike = [part for group in alike for part in _parted(group, sizes.__getitem__)]
    names: dict[tuple[str, int], str] = {}
    taken = {BATCH}
    for group in alike:
        name = _word(group[0].symbol, taken)
        taken.add(name)
        names |= {(place.name, place.axis): name for place in group}
    return tuple(
        TensorSpec(
            spec.name,
            spec.dtype,
            tuple(names.get((spec.name, axis), dim) for axis, dim in enumerate(spec.shape)),
        )
        for spec in specs
    )


def _parted(places: Iterable[_Place], key: Callable[[_Place], str | int]) -> list[list[_Place]]:
    """Those with the same key together, in the order of the first of each."""
    parts: dict[str | int, list[_Place]] = {}
    for place in places:
        parts.setdefault(key(place), []).append(place)
    return list(parts.values())


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

"""Samples from Python: an iterable, or a function that gives one, of samples or of batches.

`whet.data.readers.elements` says what an element may be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.core.spec import TensorSpec
from whet.data.image import ImageTransform
from whet.data.readers.decode import Adapter, decode_arrays, decode_pictures
from whet.data.readers.elements import Rule, items_of, one_by_one
from whet.data.readers.pairing import only_classes, settled
from whet.data.readers.stream import Damaged, Item, StreamReader, pool_size
from whet.data.readers.text import encode_texts
from whet.data.sample import Reader, Sample
from whet.data.text import TextTransform
from whet.data.transform import Transform
from whet.data.userfile import USER_ERRORS, raised
from whet.errors import SamplesError, WhetError

__all__ = ["open_iterable"]


def open_iterable(
    make: Callable[[], Iterable[object]],
    *,
    source: str,
    transform: Transform | None,
    label_key: str | None,
    expect: tuple[TensorSpec, ...] | None,
) -> Reader:
    """Samples or batches from Python, of unknown number.

    ``make`` gives the iterable and is called once a reading; an iterator that
    was used up can't be read again. The rest as in `open_samples`.

    Raises:
        SamplesError: nothing comes, the first element can't be understood, or it is a pair of
            texts and nothing says how pairs are encoded.
    """
    elements = _Elements(make, source)
    if expect is not None and _is_ready(elements.first(), expect):
        transform = None
    rule, told = _told(elements, Rule(transform, label_key, expect), source)
    first = next(iter(items_of([elements.first()], rule)), None)
    if first is None:
        raise SamplesError(f"The first batch of {source} is empty.", "Give at least one sample.")
    notes = told
    guessed = False  # from the first label alone: what comes may be read only once
    if isinstance(transform, TextTransform):
        pair = isinstance(first.payload, tuple) and len(first.payload) == 2
        guessed = pair and transform.pairs is None
        labels = () if first.label is None else (first.label,)
        transform, found = settled(transform, 2 if pair else 1, labels, source)
        notes += found
        guessed = guessed and transform.pairs == "join"
    inputs, decode, rows, adapted = _decoder(first, transform, expect, source)

    def items(_: NDArray[np.int64] | None) -> Iterator[Item]:
        found = items_of(elements.read(), rule)
        yield from only_classes(found, source) if guessed else found

    return StreamReader(
        source=source,
        inputs=inputs,
        transform=transform,
        labelled=first.label is not None,
        count=None,
        items=items,
        decode=decode,
        rows_per_sample=rows,
        notes=notes + adapted,
        chunk=1 if transform is None else 8,
        workers=0 if transform is None else pool_size(),
    )


def _told(elements: _Elements, rule: Rule, source: str) -> tuple[Rule, tuple[Note, ...]]:
    """The rule with whether elements are samples, where only several of them tell."""
    if rule.transform is not None or rule.expect is not None:
        return rule, ()
    lengths = one_by_one(elements.ahead(), rule)
    if lengths is None:
        return rule, ()
    said = (
        f"Unlabelled arrays of lengths {lengths[0]} and {lengths[1]} were taken for one sample each,"
        " since batches are of one size. If they are batches, give all the same size."
    )
    return replace(rule, singles=True), (Note(source, said),)


class _Elements:
    """Elements of the user's iterable; those that were looked at are given again."""

    def __init__(self, make: Callable[[], Iterable[object]], source: str) -> None:
        self._make, self._source = make, source
        self._iterator = self._started()
        self._held: list[object] = []
        self._used = False

    def first(self) -> object:
        for element in self.ahead():
            return element
        raise SamplesError(f"{self._source} yields nothing.", "It must yield samples or batches.")

    def ahead(self) -> Iterator[object]:
        """Elements from the first on, before any are read; they are held."""
        position = 0
        while True:
            if position == len(self._held):
                self._held += islice(self._guarded(self._iterator, position), 1)
            if position == len(self._held):
                return
            yield self._held[position]
            position += 1

    def read(self) -> Iterator[object]:
        if self._used:
            again = self._started()
            if again is self._iterator:
                raise SamplesError(
                    f"{self._source} can be read only once.",
                    "Give a list or a function that starts anew.",
                )
            yield from self._guarded(again, 0)
            return
        self._used = True
        held, self._held = self._held, []
        yield from held
        yield from self._guarded(self._iterator, len(held))

    def _started(self) -> Iterator[object]:
        try:
            return iter(self._make())
        except WhetError:
            raise
        except USER_ERRORS as error:
            raise SamplesError(f"{self._source} {raised(error)}", "Repair it first.") from error

    def _guarded(self, iterator: Iterator[object], position: int) -> Iterator[object]:
        while True:
            try:
                element = next(iterator)
            except StopIteration:
                return
            except USER_ERRORS as error:
                raise SamplesError(
                    f"{self._source} {raised(error, f' after {position} element(s)')}",
                    "Repair it first.",
                ) from error
            position += 1
            yield element


def _is_ready(element: object, expect: tuple[TensorSpec, ...]) -> bool:
    """Whether arrays by the network's own names came, so that the directory's transform has no use."""
    inputs = element[0] if isinstance(element, tuple) and len(element) == 2 else element
    if not isinstance(inputs, Mapping) or not {spec.name for spec in expect} <= set(inputs):
        return False
    kinds = (np.asarray(inputs[spec.name]).dtype for spec in expect)
    return all(kind.kind in "biuf" and kind != np.uint8 for kind in kinds)


def _decoder(
    first: Item,
    transform: Transform | None,
    expect: tuple[TensorSpec, ...] | None,
    source: str,
) -> tuple[
    tuple[TensorSpec, ...],
    Callable[[Sequence[Item]], list[Sample | Damaged]],
    int,
    tuple[Note, ...],
]:
    """Inputs, decoder, rows a sample and notes, as the first sample suggests."""
    if isinstance(transform, TextTransform):
        encoder = transform.encoder()
        pair = isinstance(first.payload, tuple) and len(first.payload) == 2
        two = pair and transform.pairs == "apart"
        return (
            transform.specs(),
            lambda chunk: encode_texts(chunk, encoder, apart=two),
            2 if two else 1,
            (),
        )
    arrays = first.payload if isinstance(first.payload, dict) else {}
    if isinstance(transform, ImageTransform) and not arrays:
        picture = transform
        return (picture.raw_spec(),), lambda chunk: decode_pictures(chunk, picture), 1, ()
    symbols = {spec.name: spec.shape for spec in expect or ()}
    specs = tuple(
        TensorSpec(name, a.dtype.name, ("batch", *_dims(a.shape, symbols.get(name, ())[1:])))
        for name, a in arrays.items()
    )
    adapter = Adapter.fit(specs, transform=transform, expect=expect, source=source)
    return adapter.inputs, lambda chunk: decode_arrays(chunk, adapter), 1, adapter.notes


def _dims(shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The row's shape, with the network's symbols where it has any."""
    if len(shape) != len(wanted):
        return shape
    return tuple(
        want if isinstance(want, str) else have for have, want in zip(shape, wanted, strict=True)
    )

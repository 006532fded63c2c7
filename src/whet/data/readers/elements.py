"""Elements of the user's iterable: what is a sample, what a batch, what the label.

What an element is, in this order: a dict of arrays by input name (with the
labels under a usual name), a pair ``(inputs, label)`` or ``(inputs, labels)``
as data loaders give it, or inputs alone. With a text transform, inputs are a
text, a pair of texts or a list of those; with an image transform, the bytes of
a picture, a uint8 array or a list of those.

Whether arrays are one sample or a batch follows from what the network expects
where that is known, else from the label (one number: a sample; a vector: a
batch). Unlabelled arrays are batches: their first axis counts samples; but where it alone
differs from one to the next, and not only in a last one that is smaller, each is a
sample (`one_by_one`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from whet.core.foreign import OF_TENSORS
from whet.core.spec import Arrays, TensorSpec
from whet.data.blobs import BLOBS, blob_of
from whet.data.image import ImageTransform
from whet.data.readers.label_names import find_label_key, input_names
from whet.data.readers.label_shapes import not_one_number
from whet.data.readers.labels import as_label, label_vector
from whet.data.readers.stream import Item
from whet.data.sample import Label
from whet.data.text import TextTransform
from whet.data.transform import Transform
from whet.errors import SamplesError, WhetError

__all__ = ["Rule", "items_of", "one_by_one"]

_LOOK = 16  # elements looked at before they are taken for batches of one size
_LOOK_BYTES = 64_000_000  # that are held for it

Payload = Arrays | bytes | tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """What tells samples from batches and labels from inputs.

    Attributes:
        singles: unlabelled arrays are samples, where the network doesn't tell.
    """

    transform: Transform | None
    label_key: str | None
    expect: tuple[TensorSpec, ...] | None
    singles: bool = False

    @property
    def single_name(self) -> str:
        if isinstance(self.transform, ImageTransform):
            return self.transform.input
        return self.expect[0].name if self.expect is not None and len(self.expect) == 1 else "input"


def items_of(elements: Iterable[object], rule: Rule) -> Iterator[Item]:
    """One item a sample; every one is named by its position."""
    position = 0
    for number, element in enumerate(elements):
        where = f"element {number}"
        try:
            inputs, label = _split(element, rule, where)
            parts = list(_expand(inputs, label, rule, where))
        except WhetError:
            raise
        except Exception as error:  # array-likes of other libraries may raise anything
            raise SamplesError(
                f"The {where} is a {type(element).__name__} that can't be read as arrays ({error}).",
                f"Yield arrays, dicts of arrays, or (inputs, labels). {OF_TENSORS}",
            ) from error
        for payload, one in parts:
            yield Item(f"sample {position}", payload, one)
            position += 1


def _split(element: object, rule: Rule, where: str) -> tuple[object, object]:
    """Inputs and label (or labels, or ``None``) of an element."""
    if isinstance(element, Mapping):
        names = {str(name) for name in element} - input_names(rule.expect)
        key = find_label_key(names, rule.label_key)
        rest = {str(name): value for name, value in element.items() if name != key}
        return rest, None if key is None else element[key]
    if isinstance(element, tuple | list) and len(element) == 2:
        inputs, label = element
        _refuse_pair(element, rule, where)
        # Two lists in a list are a batch of two; loaders give arrays or a tuple.
        nested = isinstance(element, list) and isinstance(label, list)
        loose = nested or isinstance(label, (str, *BLOBS, Mapping)) or _rank(label) > 1
        listed = isinstance(label, list | tuple) and any(
            isinstance(x, (str, *BLOBS)) for x in label
        )
        if not loose and not listed:
            return inputs, label
    return element, None


def _refuse_pair(element: tuple[object, ...] | list[object], rule: Rule, where: str) -> None:
    """Refuse a pair whose second part can only be meant as a label, but is none that is known.

    Raises:
        SamplesError: it is a word, or has several axes.
    """
    inputs, label = element
    if isinstance(label, str) and not isinstance(inputs, str | list | tuple):
        as_label(label, where)
    if isinstance(label, str | bytes | Mapping | list | tuple) or _rank(label) < 2:
        return
    array, have = np.asarray(label), _shape(inputs)
    if have == array.shape:
        # A list is a batch of two then.
        if isinstance(element, tuple):
            raise SamplesError(
                f"The {where} is a pair of arrays of one shape, {list(array.shape)}: two samples, or"
                " inputs and a label?",
                "Yield two samples in one array (numpy.stack), and inputs without such a label alone.",
            )
    elif isinstance(element, tuple) or rule.transform is None:
        batch = have[:1] == array.shape[:1]
        rows = array if batch else array[None]
        raise not_one_number(rows, rows.shape, where, single=not batch)


def _shape(value: object) -> tuple[int, ...]:
    """Shape of an array, or of the first of several by name."""
    if isinstance(value, Mapping):
        value = next(iter(value.values()), 0)
    return (len(value),) if isinstance(value, list | tuple) else np.asarray(value).shape


def _expand(
    inputs: object, label: object, rule: Rule, where: str
) -> Iterator[tuple[Payload, Label | None]]:
    if isinstance(rule.transform, TextTransform):
        yield from _expand_list(inputs, label, _as_texts, where)
        return
    picture = isinstance(inputs, list) or blob_of(inputs) is not None
    if isinstance(rule.transform, ImageTransform) and picture:
        yield from _expand_list(
            inputs, label, lambda one: _as_picture(one, rule.single_name), where
        )
        return
    named = inputs if isinstance(inputs, Mapping) else {rule.single_name: inputs}
    arrays = {name: np.asarray(value) for name, value in named.items()}
    if not arrays or any(a.dtype.hasobject or a.dtype.kind not in "biuf" for a in arrays.values()):
        raise SamplesError(
            f"The {where} holds {', '.join(str(a.dtype) for a in arrays.values()) or 'no'} values.",
            "Yield arrays of integers or floats.",
        )
    if not _is_batch(arrays, label, rule):
        yield dict(arrays), None if label is None else as_label(label, where)
        return
    scalars = [
        f"{name} is {a}" if isinstance(inputs, Mapping) else f"it is {a}"
        for name, a in arrays.items()
        if not a.ndim
    ]
    if scalars:
        raise SamplesError(
            f"The {where} is no sample: {', '.join(scalars)}, one number.",
            "Yield an array for each sample, arrays by name, or (inputs, label).",
        )
    lengths = {name: a.shape[0] for name, a in arrays.items()}
    count = next(iter(lengths.values()))
    if len(set(lengths.values())) != 1:
        listed = ", ".join(f"{name} {list(a.shape)}" for name, a in arrays.items())
        raise SamplesError(
            f"The arrays of {where} differ in length: {listed}.", "The first axis is the batch."
        )
    labels = None if label is None else label_vector(label, count, where)
    for i in range(count):
        row = {name: a[i] for name, a in arrays.items()}
        yield row, None if labels is None else as_label(labels[i], f"{where}, row {i}")


def _expand_list(
    inputs: object, label: object, convert: Callable[[object], Payload], where: str
) -> Iterator[tuple[Payload, Label | None]]:
    if not isinstance(inputs, list):
        yield convert(inputs), None if label is None else as_label(label, where)
        return
    labels = None if label is None else label_vector(label, len(inputs), where)
    for i, one in enumerate(inputs):
        yield convert(one), None if labels is None else as_label(labels[i], f"{where}, row {i}")


def _as_texts(value: object) -> tuple[str, ...]:
    parts = (value,) if isinstance(value, str) else value
    if isinstance(parts, tuple) and 1 <= len(parts) <= 2 and all(isinstance(p, str) for p in parts):
        return parts
    raise SamplesError(
        f"A {type(value).__name__} came where a text was expected.",
        "Yield texts or pairs of texts.",
    )


def _as_picture(value: object, name: str) -> Payload:
    blob = blob_of(value)
    return {name: np.asarray(value)} if blob is None else blob


def _is_batch(arrays: Arrays, label: object, rule: Rule) -> bool:
    if rule.transform is None and rule.expect is not None:
        ranks = {spec.name: len(spec.shape) for spec in rule.expect}
        if len(ranks) == len(arrays) == 1:  # a single array goes in whatever it is called
            ranks = dict(zip(arrays, ranks.values(), strict=True))
        known = [a.ndim == ranks[name] for name, a in arrays.items() if name in ranks]
        if known:
            return all(known)
    if label is not None:
        return _rank(label) > 0
    if isinstance(rule.transform, ImageTransform):
        (array,) = arrays.values() if len(arrays) == 1 else (np.empty(0),)
        return array.ndim == 4 or (array.ndim == 3 and array.shape[-1] not in (1, 3))
    return not rule.singles


def one_by_one(elements: Iterable[object], rule: Rule) -> tuple[int, int] | None:
    """Two lengths that show that unlabelled arrays are samples of several lengths, no batches.

    Batches have one size, but for a last one that may be smaller. No more elements are
    taken than are needed to tell.

    Args:
        elements: from the first on.
        rule: with neither transform nor network, which would tell.
    """
    first: dict[str, tuple[int, ...]] | None = None
    smaller, held = 0, 0
    for number, element in enumerate(elements):
        shapes, size = _shapes(element, rule)
        if first is None:
            first = shapes
        if not shapes or shapes.keys() != first.keys():
            return None
        if any(shapes[name][1:] != first[name][1:] for name in first):
            return None
        have, want = (next(iter(known.values()))[0] for known in (shapes, first))
        if smaller or have > want:
            return want, smaller or have
        smaller, held = have if have < want else 0, held + size
        if not smaller and (number + 1 >= _LOOK or held > _LOOK_BYTES):
            return None
    return None


def _shapes(element: object, rule: Rule) -> tuple[dict[str, tuple[int, ...]], int]:
    """Shapes by name, and bytes, of an unlabelled element's arrays; nothing of any other's."""
    try:
        inputs, label = _split(element, rule, "element")
        named = inputs if isinstance(inputs, Mapping) else {rule.single_name: inputs}
        arrays = {str(name): np.asarray(value) for name, value in named.items()}
    except Exception:  # noqa: BLE001 - what can't be read is refused by name when it is read
        return {}, 0
    if label is not None or any(not a.ndim or a.dtype.kind not in "biuf" for a in arrays.values()):
        return {}, 0
    return {name: a.shape for name, a in arrays.items()}, sum(a.nbytes for a in arrays.values())


def _rank(value: object) -> int:
    return np.asarray(value).ndim

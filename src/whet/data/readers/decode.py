"""From raw items to samples: pictures, arrays and their fit to what a network expects."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whet.core.fit import labels_hint, misfit
from whet.core.note import Note
from whet.core.spec import Arrays, TensorSpec
from whet.data.image import MAX_BLOB_BYTES, ImageTransform
from whet.data.readers.stream import Damaged, Item
from whet.data.sample import Sample
from whet.data.text import TextTransform
from whet.data.transform import Transform
from whet.errors import SamplesError

__all__ = ["Adapter", "check_expected", "decode_arrays", "decode_pictures"]


def decode_pictures(items: Sequence[Item], transform: ImageTransform) -> list[Sample | Damaged]:
    """Decode pictures given as bytes or as files; what can't be decoded is named."""
    found: list[Sample | Damaged] = []
    for item in items:
        try:
            picture = transform.decode(_blob(item.payload))
        except SamplesError as error:
            found.append(Damaged(item.name, error.message))
        else:
            found.append(Sample(item.name, ({transform.input: picture},), item.label))
    return found


def _blob(payload: object) -> bytes:
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, Path):
        return _load(payload)
    raise SamplesError(
        f"A {type(payload).__name__} came where the bytes of a picture were expected."
    )


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            # Asked for more than there is, Python would reserve all of it. One byte more than
            # is allowed, so that decode refuses what is too large.
            size = os.fstat(stream.fileno()).st_size
            return stream.read(min(size, MAX_BLOB_BYTES) + 1)
    except OSError as error:
        raise SamplesError(f"The file can't be read ({error.strerror}).") from error


@dataclass(frozen=True)
class Adapter:
    """Makes rows of arrays into what the store holds: names, dtypes, pictures.

    Attributes:
        inputs: as stored.
        rename: name in the source to name of the input.
        picture: the transform, where the source holds decoded pictures.
        notes: what is changed.
    """

    inputs: tuple[TensorSpec, ...]
    rename: dict[str, str]
    picture: ImageTransform | None = None
    notes: tuple[Note, ...] = ()

    @staticmethod
    def fit(
        specs: tuple[TensorSpec, ...],
        *,
        transform: Transform | None,
        expect: tuple[TensorSpec, ...] | None,
        source: str,
    ) -> Adapter:
        """Decide how arrays with ``specs`` are stored.

        float64 becomes float32 unless the network takes float64; a single
        array takes the name of the network's single input; integers take the
        network's integer dtype. A transform beside ``expect`` is what the
        network's directory suggests: arrays that are no pictures are then taken
        as ready for the network.

        Raises:
            SamplesError: the arrays can't be what the network takes.
        """
        if isinstance(transform, TextTransform) and expect is None:
            raise SamplesError(
                f"{source} holds arrays, but the transform is for text.",
                "Leave the transform out, or give a .jsonl or .csv file.",
            )
        if isinstance(transform, ImageTransform) and (expect is None or _are_pictures(specs)):
            return _pictures(specs, transform, source)
        names = {spec.name: spec.name for spec in specs}
        if expect is not None and len(specs) == len(expect) == 1:
            names = {specs[0].name: expect[0].name}
        wanted = {spec.name: spec.dtype for spec in expect or ()}
        stored: list[TensorSpec] = []
        notes: list[Note] = []
        for spec in specs:
            name = names[spec.name]
            dtype = _stored_dtype(spec.dtype, wanted.get(name))
            stored.append(TensorSpec(name, dtype, spec.shape))
            if dtype != spec.dtype:
                notes.append(
                    Note(source, f"'{spec.name}' is {spec.dtype} and was read as {dtype}.")
                )
            if name != spec.name:
                notes.append(
                    Note(
                        source,
                        f"The only array, '{spec.name}', is given to the network's only input,"
                        f" '{name}'.",
                    )
                )
        check_expected(tuple(stored), expect, source, called=names)
        return Adapter(tuple(stored), names, None, tuple(notes))

    def row(self, arrays: Arrays) -> Arrays:
        """One row as stored.

        Raises:
            SamplesError: a picture that can't be fitted, a number that the dtype can't hold.
        """
        if self.picture is not None:
            if len(arrays) != 1:
                raise SamplesError("It holds more than one array.")
            (array,) = arrays.values()
            return {self.picture.input: self.picture.fit(_as_uint8(array))}
        dtypes = {spec.name: np.dtype(spec.dtype) for spec in self.inputs}
        if set(arrays) != set(self.rename):
            raise SamplesError(
                f"It has {sorted(arrays)}, the samples before it {sorted(self.rename)}."
            )
        return {
            self.rename[key]: _cast(array, dtypes[self.rename[key]])
            for key, array in arrays.items()
        }


def decode_arrays(items: Sequence[Item], adapter: Adapter) -> list[Sample | Damaged]:
    """Rows of arrays as samples; what doesn't fit is named."""
    found: list[Sample | Damaged] = []
    for item in items:
        try:
            found.append(Sample(item.name, (adapter.row(_arrays(item.payload)),), item.label))
        except SamplesError as error:
            found.append(Damaged(item.name, error.message))
    return found


def _arrays(payload: object) -> Arrays:
    if isinstance(payload, dict):
        return payload
    raise SamplesError(f"A {type(payload).__name__} came where arrays were expected.")


def check_expected(
    stored: tuple[TensorSpec, ...],
    expect: tuple[TensorSpec, ...] | None,
    source: str,
    called: Mapping[str, str],
) -> None:
    """Refuse samples that the network can't take; ``None`` expects nothing.

    Args:
        stored: under the names of the network's inputs.
        expect: the network's inputs.
        source: of the samples, for the error.
        called: name in the source to name of the input.

    Raises:
        SamplesError: other names, or another dtype, rank or size.
    """
    if expect is None:
        return
    have, want = {spec.name: spec for spec in stored}, {spec.name: spec for spec in expect}
    if set(have) != set(want):
        raise SamplesError(
            f"The inputs of {source} are called {', '.join(sorted(have))}; the network takes"
            f" {', '.join(sorted(want))}.",
            f"Name the arrays as the network's inputs.{labels_hint(stored, want)}",
        )
    given = {name: source_name for source_name, name in called.items()}
    for name, spec in want.items():
        array = TensorSpec(given[name], have[name].dtype, have[name].shape)
        found = misfit(array, spec, source=source)
        if found is not None:
            raise SamplesError(found.message, found.remedy)


def _are_pictures(specs: tuple[TensorSpec, ...]) -> bool:
    return len(specs) == 1 and specs[0].dtype == "uint8"


def _pictures(specs: tuple[TensorSpec, ...], transform: ImageTransform, source: str) -> Adapter:
    if len(specs) != 1 or specs[0].dtype != "uint8" or len(specs[0].shape) not in (3, 4):
        listed = ", ".join(str(spec) for spec in specs)
        raise SamplesError(
            f"{source} holds {listed}; an image transform takes one array of uint8 pictures.",
            "Give (n, height, width) or (n, height, width, channels), or leave the transform out."
            f"{labels_hint(specs, {transform.input})}",
        )
    return Adapter((transform.raw_spec(),), {}, transform)


def _as_uint8(array: NDArray[np.generic]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8:
        raise SamplesError(f"A picture is given as {array.dtype}.", "Give uint8.")
    return array.view(np.uint8)


def _stored_dtype(have: str, want: str | None) -> str:
    if want is not None and np.dtype(have).kind in "iuf" and _kind(have) == _kind(want):
        return want
    return "float32" if have == "float64" and want is None else have


def _kind(dtype: str) -> str:
    kind = np.dtype(dtype).kind
    return "i" if kind == "u" else kind


def _cast(array: NDArray[np.generic], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    if array.dtype == dtype:
        return array
    if _kind(array.dtype.name) != _kind(dtype.name):
        raise SamplesError(f"The dtype is {array.dtype}, of the samples before it {dtype}.")
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype.name)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise SamplesError(
                f"It holds {low if low < limits.min else high}, which {dtype} can't hold."
            )
    with np.errstate(over="ignore"):  # an overflow to infinity is refused by the store, by name
        return array.astype(dtype)

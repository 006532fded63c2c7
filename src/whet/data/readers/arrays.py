"""Arrays by input name: from memory, `.npy`, `.npz`; and JPEG files packed into an `.npz`.

An `.npz` may hold several sets under prefixes; ``file.npz#test`` takes
``test_images`` and ``test_labels`` (or ``test_jpeg``, ``test_offsets`` and
``test_labels``: JPEG files one after another, with where each begins).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whet.core.spec import TensorSpec
from whet.data.image import MAX_BLOB_BYTES, ImageTransform
from whet.data.readers.decode import Adapter, decode_arrays, decode_pictures
from whet.data.readers.label_names import find_label_key, input_names
from whet.data.readers.label_shapes import is_one_number, not_one_number
from whet.data.readers.labels import as_label, label_vector
from whet.data.readers.npz import Member, list_members, reading
from whet.data.readers.stream import Item, StreamReader, pool_size, runs
from whet.data.sample import Reader
from whet.data.transform import Transform
from whet.errors import SamplesError

__all__ = ["open_arrays", "open_npy", "open_npz"]

_CHUNK_BYTES = 4 << 20
_FEW_ROWS = 1000
_IMAGE_ENDINGS = ("images", "jpeg", "image", "x")


class _Rows(Protocol):
    """Where the rows of one input come from."""

    def rows(self, start: int, count: int) -> NDArray[np.generic]: ...


@dataclass(frozen=True)
class _InMemory:
    array: NDArray[np.generic]

    def rows(self, start: int, count: int) -> NDArray[np.generic]:
        return self.array[start : start + count]


def open_arrays(
    arrays: Mapping[str, NDArray[np.generic]],
    *,
    source: str,
    transform: Transform | None,
    label_key: str | None,
    expect: tuple[TensorSpec, ...] | None,
) -> Reader:
    """Arrays in memory, by name, each with the batch axis first.

    Raises:
        SamplesError: no input, unequal lengths, or what the network can't take.
    """
    plain = {name: np.asarray(array) for name, array in arrays.items()}
    key = find_label_key(plain.keys() - input_names(expect), label_key)
    labels = None if key is None else plain.pop(key)
    for name, array in plain.items():
        if array.dtype.hasobject or array.dtype.kind not in "biuf":
            raise SamplesError(
                f"The array '{name}' of {source} holds {array.dtype} values.",
                "Give plain integers or floats; rows of unequal length come one by one from a function.",
            )
    if labels is not None:
        labels = label_vector(labels, None, source, key)

    def opened(_: ExitStack) -> dict[str, _Rows]:
        return {name: _InMemory(array) for name, array in plain.items()}

    kinds = {name: (array.shape, array.dtype) for name, array in plain.items()}
    return _reader(kinds, opened, labels, source=source, transform=transform, expect=expect)


def open_npy(
    path: Path, *, transform: Transform | None, expect: tuple[TensorSpec, ...] | None
) -> Reader:
    """One array in a `.npy` file, memory-mapped; the input is called ``input``.

    Raises:
        SamplesError: unreadable, or what the network can't take.
    """
    with reading(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    return open_arrays(
        {"input": array}, source=str(path), transform=transform, label_key=None, expect=expect
    )


def open_npz(
    path: Path,
    prefix: str,
    *,
    transform: Transform | None,
    label_key: str | None,
    expect: tuple[TensorSpec, ...] | None,
) -> Reader:
    """An `.npz`, streamed; see the top of the file for prefixes and packed JPEG files.

    Raises:
        SamplesError: unreadable, no such prefix, unequal lengths, objects inside.
    """
    members = list_members(path)
    source = f"{path}#{prefix}" if prefix else str(path)
    start = f"{prefix}_" if prefix else ""
    within = {name.removeprefix(start): name for name in members if name.startswith(start)}
    if not within:
        raise SamplesError(
            f"{path} has no array that starts with '{start}', only {', '.join(sorted(members)) or 'none'}.",
            _suggest(path, members),
        )
    key = find_label_key(within.keys() - input_names(expect), label_key)
    labels = None if key is None else _labels(path, within[key], source, key)
    rest = {name: member for name, member in within.items() if name != key}
    if {"jpeg", "offsets"} <= set(rest):
        return _packed(path, rest["jpeg"], rest["offsets"], labels, source, transform)
    lengths = {members[member][0][:1] for member in rest.values()}
    if not prefix and len(lengths) > 1:
        raise SamplesError(
            f"The arrays of {path} differ in length: "
            + ", ".join(f"{name} {list(members[name][0])}" for name in rest)
            + ".",
            _suggest(path, members),
        )

    def opened(stack: ExitStack) -> dict[str, _Rows]:
        return {name: stack.enter_context(Member(path, member)) for name, member in rest.items()}

    kinds = {name: members[member] for name, member in rest.items()}
    return _reader(kinds, opened, labels, source=source, transform=transform, expect=expect)


def _reader(
    kinds: Mapping[str, tuple[tuple[int, ...], np.dtype[np.generic]]],
    opened: Callable[[ExitStack], dict[str, _Rows]],
    labels: NDArray[np.generic] | None,
    *,
    source: str,
    transform: Transform | None,
    expect: tuple[TensorSpec, ...] | None,
) -> Reader:
    """Rows of equally long arrays as a reader."""
    count = _common_length({name: shape for name, (shape, _) in kinds.items()}, source)
    if labels is not None:
        labels = label_vector(labels, count, source)
    specs = tuple(
        TensorSpec(name, dtype.name, ("batch", *shape[1:]))
        for name, (shape, dtype) in kinds.items()
    )
    adapter = Adapter.fit(specs, transform=transform, expect=expect, source=source)
    row_bytes = max(
        dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64)) for shape, dtype in kinds.values()
    )
    longest = max(1, _CHUNK_BYTES // max(row_bytes, 1))

    def items(chosen: NDArray[np.int64] | None) -> Iterator[Item]:
        with ExitStack() as stack:
            columns = opened(stack)
            for start, length in runs(chosen, count, longest):
                block = {name: column.rows(start, length) for name, column in columns.items()}
                for i in range(length):
                    name, row = f"sample {start + i}", {key: rows[i] for key, rows in block.items()}
                    yield Item(
                        name, row, None if labels is None else as_label(labels[start + i], name)
                    )

    return StreamReader(
        source=source,
        inputs=adapter.inputs,
        transform=adapter.picture,
        labelled=labels is not None,
        count=count,
        items=items,
        decode=lambda chunk: decode_arrays(chunk, adapter),
        notes=adapter.notes,
        chunk=min(longest, 64),
        workers=1 if adapter.picture is None else pool_size(),
    )


def _packed(
    path: Path,
    jpeg: str,
    offsets: str,
    labels: NDArray[np.generic] | None,
    source: str,
    transform: Transform | None,
) -> Reader:
    """JPEG files one after another in one array, with where each begins in another."""
    if not isinstance(transform, ImageTransform):
        raise SamplesError(f"{source} holds JPEG files.", "Give an image transform.")
    begins = _offsets(path, offsets, source)
    with Member(path, jpeg) as member:
        total, plain = member.shape, member.dtype == np.uint8 and len(member.shape) == 1
    sizes = np.diff(begins)
    if (
        not plain
        or begins.size < 2
        or begins[0] != 0
        or begins[-1] != total[0]
        or bool((sizes <= 0).any())
        or int(sizes.max()) > MAX_BLOB_BYTES
    ):
        raise SamplesError(
            f"The offsets of {source} don't fit its JPEG bytes.",
            "They start at 0, ascend and end at the number of bytes.",
        )
    count = begins.size - 1
    if labels is not None:
        labels = label_vector(labels, count, source)

    def items(chosen: NDArray[np.int64] | None) -> Iterator[Item]:
        with Member(path, jpeg) as member:
            for start, length in runs(chosen, count, 64):
                for i in range(start, start + length):
                    blob = member.rows(int(begins[i]), int(sizes[i])).tobytes()
                    name = f"sample {i}"
                    yield Item(name, blob, None if labels is None else as_label(labels[i], name))

    return StreamReader(
        source=source,
        inputs=(transform.raw_spec(),),
        transform=transform,
        labelled=labels is not None,
        count=count,
        items=items,
        decode=lambda chunk: decode_pictures(chunk, transform),
        chunk=8,
        workers=pool_size(),
    )


def _common_length(shapes: Mapping[str, tuple[int, ...]], source: str) -> int:
    if not shapes:
        raise SamplesError(
            f"{source} has labels but no inputs.", "Name the inputs' arrays as the network does."
        )
    lengths = {name: shape[0] if shape else None for name, shape in shapes.items()}
    if None in lengths.values() or len(set(lengths.values())) != 1:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise SamplesError(
            f"The arrays of {source} differ in length: {listed}.", "The first axis is the batch."
        )
    count = next(iter(lengths.values())) or 0
    if count == 0:
        raise SamplesError(f"{source} holds no samples.", "Give at least one.")
    return count


def _labels(path: Path, name: str, source: str, key: str) -> NDArray[np.generic]:
    with Member(path, name) as member:
        if is_one_number(member.shape):
            return member.rows(0, member.shape[0])
        few = member.rows(0, min(_FEW_ROWS, member.shape[0])) if len(member.shape) == 2 else None
        first = np.zeros(0, member.dtype) if few is None else few
        raise not_one_number(first, member.shape, source, key)


def _offsets(path: Path, name: str, source: str) -> NDArray[np.int64]:
    with Member(path, name) as member:
        if len(member.shape) != 1:
            raise SamplesError(
                f"The array '{name}' of {source} has shape {list(member.shape)}.",
                "It says where each picture's bytes begin, one number a picture, and where the last ends.",
            )
        return member.rows(0, member.shape[0]).astype(np.int64)


def _suggest(path: Path, names: Mapping[str, object] | Sequence[str]) -> str:
    prefixes = sorted(
        {name.rpartition("_")[0] for name in names if name.rpartition("_")[2] in _IMAGE_ENDINGS}
        - {""}
    )
    if prefixes:
        return (
            "Choose one with " + " or ".join(f"{path.name}#{prefix}" for prefix in prefixes) + "."
        )
    return "Give arrays of equal length, named as the network's inputs, and labels."

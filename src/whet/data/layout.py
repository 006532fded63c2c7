"""How a sample store lies on disk.

A folder with ``store.json``, one ``.npy`` file an input, ``labels.npy`` where
there are labels and ``hashes.npy`` (64 bits of BLAKE2b over each sample's
inputs, by which copies are found). Rows of equal shape lie stacked; rows that
differ in one axis lie flat, one after another, with ``offsets-K.npy`` saying
where each begins. Every file is a plain ``.npy`` that
``numpy.load(..., mmap_mode="r")`` maps.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.core.spec import TensorSpec
from whet.data.transform import Transform

__all__ = [
    "HASHES",
    "HEADER_BYTES",
    "LABELS",
    "META",
    "Column",
    "Meta",
    "StoreRef",
    "npy_header",
    "offsets_of",
]

META, LABELS, HASHES = "store.json", "labels.npy", "hashes.npy"
HEADER_BYTES = 256  # room for any shape that is written, so that a header can be filled in last


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input.

    Attributes:
        spec: as the network is fed, with a symbol where rows differ.
        file: the values.
        offsets: where each row begins, in values; ``None`` for stacked rows.
        axis: the row's axis that differs; ``None`` for stacked rows.
        pad: what fills up short rows of a batch.
    """

    spec: TensorSpec
    file: str
    offsets: str | None = None
    axis: int | None = None
    pad: int = 0

    def __post_init__(self) -> None:
        for name in (self.file, self.offsets or "offsets.npy"):
            if not name.endswith(".npy") or "/" in name or "\\" in name or "\0" in name:
                raise ValueError(f"{name!r} is no plain file name")  # msgspec says where


class Meta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contents of ``store.json``."""

    kind: Literal["whet-samples"]
    version: Literal[1]
    source: str
    columns: tuple[Column, ...]
    samples: int
    rows_per_sample: Literal[1, 2]
    labelled: bool
    transform: Transform | None
    notes: tuple[Note, ...]


class StoreRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Enough to open a store, or a view of one, in another process."""

    path: str
    indices: str | None = None


def npy_header(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> bytes:
    """The header of a C-ordered ``.npy`` file, padded to `HEADER_BYTES`."""
    described = np.lib.format.dtype_to_descr(dtype)
    text = repr({"descr": described, "fortran_order": False, "shape": shape})
    room = HEADER_BYTES - 10
    body = text.encode("latin1").ljust(room - 1) + b"\n"
    return np.lib.format.magic(1, 0) + room.to_bytes(2, "little") + body


def offsets_of(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where rows of these sizes begin and, last, where they end."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])

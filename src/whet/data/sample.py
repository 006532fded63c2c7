"""What a reader gives: samples, one after another, and the interface of readers."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.core.spec import Arrays, TensorSpec
from whet.data.transform import Transform

__all__ = ["Label", "Reader", "Sample"]

Label = int | float


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample.

    Attributes:
        name: where it came from, for errors (``"img_0001.jpg"``, ``"line 12"``).
        rows: inputs by name, each without the batch axis; one row, or two for a
            pair of sentences that are encoded apart.
        label: a class index (``int``), a score (``float``) or ``None``.
    """

    name: str
    rows: tuple[Arrays, ...]
    label: Label | None = None


class Reader(Protocol):
    """A source of samples.

    `whet.data.readers.open_samples` finds the right one. What every reader
    promises (the same samples under the same names each time, bounded memory,
    nothing left open, typed errors), `whet.testing.reader_contract` holds it to.

    Attributes:
        source: what was opened, for reports.
        inputs: the inputs as stored, with the batch axis first; a ``str`` in a
            later axis means that rows may differ there.
        transform: how raw bytes or text become those inputs.
        labelled: whether every sample carries a label.
        count: number of samples; ``None`` where only reading to the end would tell.
        rows_per_sample: 2 for pairs of sentences that are encoded apart, else 1.
        notes: what the reader skipped or decided.
    """

    @property
    def source(self) -> str: ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def transform(self) -> Transform | None: ...

    @property
    def labelled(self) -> bool: ...

    @property
    def count(self) -> int | None: ...

    @property
    def rows_per_sample(self) -> int: ...

    @property
    def notes(self) -> tuple[Note, ...]: ...

    def read(self, chosen: NDArray[np.int64] | None = None) -> Generator[Sample, None, None]:
        """Samples in order, streamed; memory doesn't grow with the source.

        Args:
            chosen: ascending indices of the samples to read; only where
                ``count`` is known. Others are not decoded.

        Raises:
            SamplesError: a sample can't be read, with its name; there are not ``count``
                samples any more; or the source can be read only once, and was.
        """
        ...

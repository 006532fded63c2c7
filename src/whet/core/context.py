"""What a pass may use beside its own fields: data, place, seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whet.core.artifact import Artifact
from whet.core.lesson import Tell, untold
from whet.core.spec import Arrays

__all__ = ["Context", "Feed"]


class Feed(Protocol):
    """Inputs in a fixed order, streamed; labels are not part of it."""

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:
        """Rows in order, ``size`` at a time (the last may be shorter), at most ``limit`` rows.

        Rows of unequal length are padded to the longest of their batch, so
        ``size=1`` never pads.
        """
        ...

    def rows(self, indices: NDArray[np.integer]) -> Arrays:
        """The rows at ``indices`` alone, padded to the longest of them."""
        ...


@dataclass(frozen=True)
class Context:
    """What exists only at run time.

    Attributes:
        workdir: a folder of the pass's own, where it writes its files.
        reference: the untouched original, as exported.
        shelf: a folder for what several candidates of one search need; ``None`` keeps nothing.
        program: the same as a torch program, where the network came from torch.
        repair: calibration and repair inputs; ``None`` where there are none.
        train: more inputs, that networks may learn from; ``None`` where there are none.
        labels: one for each row that networks learn from, ``train`` or else ``repair``; ``None``
            where there are none.
        threads: compute threads the pass may use.
        seed: for every random choice.
        tell: told how far a network has come that learns.
    """

    workdir: Path
    reference: Artifact
    repair: Feed | None = None
    threads: int = 1
    seed: int = 0
    program: Artifact | None = None
    shelf: Path | None = None
    train: Feed | None = None
    labels: NDArray[np.generic] | None = None
    tell: Tell = untold

"""What every pass of a search works on, as it crosses the border of a process."""

from __future__ import annotations

from pathlib import Path

import msgspec

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.lesson import Tell, untold
from whet.data.store import StoreRef, open_ref

__all__ = ["Ground"]


class Ground(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The untouched network and the samples that passes may see; see `Context`."""

    graph: Artifact
    program: Artifact | None
    repair: StoreRef
    threads: int
    seed: int
    train: StoreRef | None = None

    def context(
        self, workdir: str | Path, shelf: str | Path | None = None, tell: Tell = untold
    ) -> Context:
        """The same with samples opened, for passes that write into a folder."""
        repair = open_ref(self.repair)
        train = open_ref(self.train) if self.train is not None else None
        learnt = train if train is not None and len(train) else repair
        return Context(
            workdir=Path(workdir),
            reference=self.graph,
            repair=repair,
            threads=self.threads,
            seed=self.seed,
            program=self.program,
            shelf=Path(shelf) if shelf is not None else None,
            train=train,
            tell=tell,
            labels=learnt.labels if learnt.rows_per_sample == 1 else None,
        )

"""What all trials of one search share; made once by `whet.search.intake.prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whet.core.artifact import Artifact
from whet.core.contract import Contract
from whet.core.evidence import Machine, SampleSummary
from whet.core.note import Note
from whet.data.store import SampleStore
from whet.data.transform import Transform
from whet.measure.custom import UserFunction
from whet.optimize.graph.traffic import Traffic
from whet.search.reference import References
from whet.search.workers.ground import Ground

__all__ = ["Setup"]


@dataclass(frozen=True)
class Setup:
    """The network, samples and contract of one search, ready to try candidates.

    Attributes:
        graph: as exported, with the transform folded in; what "untouched" means.
        program: the torch program, where the network came from torch.
        repair, select, certify: the three disjoint parts.
        train: more samples that networks may learn from, none of which is in those parts.
        look: the first few of select, which the original has answered already.
        metric: concrete, never ``"auto"``.
        function: the user's live function, where the metric is one.
        metric_s: how long one call of the user's own metric may take.
        cores: the cores that every contender is pinned to.
        macs, parameters: of one row.
        traffic: of one row of the untouched graph.
        weight_bytes: of the untouched graph.
        sizes: of symbols, at which macs and traffic are counted.
        uncounted: operators whose arithmetic ``macs`` and ``traffic`` leave out.
        kind: ``"cnn"``, ``"transformer"`` or ``"recurrent"``, which decides the recipes to try first.
        memory_bytes: limit of each worker.
        original_ms: what the original takes for a row.
        values: that it answers for one.
    """

    name: str
    network: str
    contract: Contract
    metric: str
    task: str | None
    graph: Artifact
    program: Artifact | None
    transform: Transform | None
    repair: SampleStore
    select: SampleStore
    certify: SampleStore
    look: SampleStore
    train: SampleStore | None
    samples: SampleSummary
    references: References
    machine: Machine
    original_ms: float
    values: int
    cores: tuple[int, ...]
    threads: int
    macs: int
    parameters: int
    traffic: Traffic
    weight_bytes: int
    sizes: dict[str, int]
    kind: str
    workdir: Path
    cache: Path
    memory_bytes: int
    seed: int
    runtimes: tuple[str, ...]
    notes: tuple[Note, ...]
    function: UserFunction | None
    metric_s: float
    uncounted: tuple[str, ...]

    @property
    def learnt_from(self) -> SampleStore:
        """The samples that networks may learn from."""
        return self.train if self.train is not None else self.repair

    @property
    def ground(self) -> Ground:
        """What passes work on."""
        return Ground(
            graph=self.graph,
            program=self.program,
            repair=self.repair.ref(),
            threads=self.threads,
            seed=self.seed,
            train=self.train.ref() if self.train is not None else None,
        )

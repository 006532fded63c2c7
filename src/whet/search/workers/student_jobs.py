"""What runs in worker processes for substitution: which students fit, and what they take."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from whet.core.note import Note
from whet.core.recipe import Step
from whet.core.room import temporary_folder
from whet.core.settings import Settings
from whet.optimize.network.students.zoo import Sized, Student
from whet.search.workers.ground import Ground
from whet.search.workers.in_turn import in_turn_ms, with_passes

__all__ = [
    "Fitting",
    "FittingJob",
    "Shares",
    "SharesJob",
    "fitting_students",
    "student_shares",
]


class FittingJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A network for which students are wanted."""

    ground: Ground
    workdir: str


class Fitting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Students that can stand in the network's place."""

    sized: tuple[Sized, ...]
    notes: tuple[Note, ...] = ()


class SharesJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Students to time beside the candidate that they are to beat.

    Attributes:
        base: the candidate's passes; its graph was built in ``base_dir``.
        tail: passes over graphs that students get.
        rows: of a request.
        shelf: where the folders of built graphs stand.
    """

    ground: Ground
    students: tuple[Student, ...]
    base: tuple[Step, ...]
    base_dir: str
    tail: tuple[Step, ...]
    runtime: str
    settings: Settings
    cache: str
    rows: int
    shelf: str


class Shares(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What each student took, as a share of what the candidate did, in their order."""

    shares: tuple[float, ...]


def fitting_students(job: FittingJob) -> Fitting:
    """Which students can stand in a network's place, and how large they are.

    Raises:
        RequirementError: none can.
        ExportError: the program can't be put back into layers.
    """
    from whet._optional import require

    network = require("whet.optimize.network.structure.net", "change a network")
    make = require("whet.optimize.network.menus.untaught", "make students")
    ctx = job.ground.context(job.workdir)
    sized, notes = make.fitting(network.opened(ctx.program), ctx)
    return Fitting(sized, notes)


def student_shares(job: SharesJob) -> Shares:
    """Time students with random weights in turn with the candidate that they are to beat.

    Raises:
        EngineError: one of them can't be compiled or run.
    """
    from whet._optional import require
    from whet.search.workers.built import built

    network = require("whet.optimize.network.structure.net", "change a network")
    make = require("whet.optimize.network.menus.untaught", "make students")
    ground = job.ground
    with temporary_folder("whet-students-") as folder:
        base_ctx = ground.context(job.base_dir, job.shelf)
        base = built(job.base, ground.graph, base_ctx, Path(job.shelf), {}).graph
        ctx = ground.context(folder)
        samples = network.samples_of(ctx)
        request = samples.rows(np.arange(job.rows) % len(samples))
        net, graphs = network.opened(ctx.program), [base]
        for place, student in enumerate(job.students):
            own = ground.context(folder / f"{place}-made")
            made = make.graph_of(net, student, own)
            passed = folder / f"{place}-passed"
            graphs.append(
                with_passes(
                    made, request, job.tail, passed, threads=ground.threads, seed=ground.seed
                )
            )
        pairs = [(graph, request) for graph in graphs]
        base_ms, *ms = in_turn_ms(pairs, job.runtime, job.settings, job.cache)
        return Shares(tuple(each / base_ms for each in ms))

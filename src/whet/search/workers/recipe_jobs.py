"""What runs in a worker process for a recipe that is carried out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.core.recipe import Step
from whet.data.store import StoreRef, open_ref

__all__ = ["CarriedOut", "CarryOutJob", "carry_out"]


class CarryOutJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Passes over an exported network; ``sizes`` are those of symbols to count at."""

    steps: tuple[Step, ...]
    graph: Artifact
    program: Artifact | None
    repair: StoreRef
    workdir: str
    threads: int
    seed: int
    sizes: dict[str, int] = {}
    train: StoreRef | None = None


class CarriedOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new graph, and what is counted in it (in the ONNX graph that an IR was made of)."""

    graph: Artifact
    changed: bool
    notes: tuple[Note, ...]
    parameters: int
    macs: int


def carry_out(job: CarryOutJob) -> CarriedOut:
    """Carry out the passes, from nothing: what a search keeps of earlier ones isn't looked at.

    Raises:
        PassError, OptionError: as the pass says.
    """
    from whet.core.passes import Stage
    from whet.optimize.build import build, pass_of
    from whet.optimize.graph.facts import facts

    ctx = Context(
        workdir=Path(job.workdir),
        reference=job.graph,
        repair=open_ref(job.repair),
        threads=job.threads,
        seed=job.seed,
        program=job.program,
        train=open_ref(job.train) if job.train is not None else None,
    )
    onnx = next(
        (n for n, step in enumerate(job.steps) if pass_of(step).gives is Stage.IR), len(job.steps)
    )
    made = build(job.steps[:onnx], job.graph, ctx)
    counted = facts(made.model, job.sizes)
    last = build(job.steps[onnx:], made.model, replace(ctx, workdir=ctx.workdir / "ir"))
    return CarriedOut(
        last.model,
        made.changed or last.changed,
        made.notes + last.notes,
        counted.parameters,
        counted.macs,
    )

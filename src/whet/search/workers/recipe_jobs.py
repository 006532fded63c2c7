"""What runs in a worker process for a recipe that is carried out by hand."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from whet.core.artifact import Artifact
from whet.core.lesson import Tell, untold
from whet.core.note import Note
from whet.core.recipe import Step
from whet.search.workers.ground import Ground

__all__ = ["CarriedOut", "CarryOutJob", "carry_out"]


class CarryOutJob(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Passes over an exported network; ``sizes`` are those of symbols to count at."""

    steps: tuple[Step, ...]
    ground: Ground
    workdir: str
    sizes: dict[str, int] = {}


class CarriedOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new graph, and what is counted in it (in the ONNX graph that an IR was made of)."""

    graph: Artifact
    changed: bool
    notes: tuple[Note, ...]
    parameters: int
    macs: int


def carry_out(job: CarryOutJob, tell: Tell = untold) -> CarriedOut:
    """Carry out the passes, from nothing: what a search keeps of earlier ones isn't looked at.

    Args:
        job: what to do.
        tell: told how far a network has come that learns.

    Raises:
        PassError, OptionError: as the pass says.
    """
    from whet.core.passes import Stage
    from whet.optimize.build import build, pass_of
    from whet.optimize.graph.facts import facts

    ctx = job.ground.context(job.workdir, tell=tell)
    onnx = next(
        (n for n, step in enumerate(job.steps) if pass_of(step).gives is Stage.IR), len(job.steps)
    )
    made = build(job.steps[:onnx], ctx.reference, ctx)
    counted = facts(made.model, job.sizes)
    last = build(job.steps[onnx:], made.model, replace(ctx, workdir=ctx.workdir / "ir"))
    return CarriedOut(
        last.model,
        made.changed or last.changed,
        made.notes + last.notes,
        counted.parameters,
        counted.macs,
    )

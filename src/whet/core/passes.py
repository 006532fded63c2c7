"""The contract of a pass, and pipelines of passes.

A pass is one technique: a final frozen dataclass whose fields are its whole
configuration, with three verbs. ``requires`` refuses a model that it can't
treat (a `RequirementError` that says why); ``apply`` makes the new model and
never changes the one it was given; ``ensures`` checks what it promised. `run`
calls all three. A part that a pass left alone is a `Note` in its result.

A `Pipeline` is itself a pass. It checks, when it is built, that each pass
takes the stage that the one before it gives.
"""

from __future__ import annotations

import enum
import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar, final

from whet.core.context import Context
from whet.core.note import Note
from whet.errors import OptionError

__all__ = ["Pass", "PassResult", "Pipeline", "Stage", "run"]

A = TypeVar("A")
B = TypeVar("B")


class Stage(enum.StrEnum):
    """What a pass takes or gives."""

    NETWORK = "network"  # torch.nn.Module
    GRAPH = "graph"  # Artifact in ONNX
    IR = "ir"  # Artifact in a runtime's own graph format (OpenVINO)


@dataclass(frozen=True)
class PassResult(Generic[B]):
    """What a pass gives back.

    Attributes:
        model: the new model, or the one given when nothing was changed.
        changed: whether anything was changed.
        notes: what was skipped and why.
    """

    model: B
    changed: bool
    notes: tuple[Note, ...] = ()


class Pass(ABC, Generic[A, B]):
    """One technique; subclasses are final frozen dataclasses."""

    name: ClassVar[str]
    takes: ClassVar[Stage]
    gives: ClassVar[Stage]

    @abstractmethod
    def requires(self, model: A, ctx: Context) -> None:
        """Raise `RequirementError` if the model can't be treated."""

    @abstractmethod
    def apply(self, model: A, ctx: Context) -> PassResult[B]:
        """Make the new model; the given one stays as it is."""

    @abstractmethod
    def ensures(self, model: B, ctx: Context) -> None:
        """Raise `PostconditionError` if a promise is broken."""


def run(step: Pass[A, B], model: A, ctx: Context) -> PassResult[B]:
    """Check, apply, check.

    Raises:
        RequirementError: the model can't be treated.
        PostconditionError: the result breaks what the pass promises.
    """
    step.requires(model, ctx)
    result = step.apply(model, ctx)
    step.ensures(result.model, ctx)
    return result


@final
class Pipeline(Pass[Any, Any]):
    """Passes one after another, as a pass.

    Each step gets a folder of its own below the context's ``workdir``.

    Raises:
        OptionError: a step doesn't take what the one before it gives.
    """

    name: ClassVar[str] = "pipeline"

    def __init__(self, steps: tuple[Pass[Any, Any], ...]) -> None:
        if not steps:
            raise OptionError("A pipeline needs at least one pass.", "Give it a pass.")
        for before, after in itertools.pairwise(steps):
            if before.gives is not after.takes:
                raise OptionError(
                    f"The pass '{after.name}' takes a {after.takes}, but '{before.name}'"
                    f" before it gives a {before.gives}.",
                    "Reorder the passes, or put the pass that changes the stage between them.",
                )
        self.steps = steps
        # ClassVars of Pass, but per instance here: a pipeline's ends are its steps' ends.
        self.takes = steps[0].takes  # type: ignore[misc]
        self.gives = steps[-1].gives  # type: ignore[misc]

    def requires(self, model: Any, ctx: Context) -> None:
        """Each step checks its own input when its turn comes; the first is checked now."""
        self.steps[0].requires(model, ctx)

    def apply(self, model: Any, ctx: Context) -> PassResult[Any]:
        changed, notes = False, list[Note]()
        for number, step in enumerate(self.steps):
            folder = ctx.workdir / f"{number}-{step.name}"
            folder.mkdir(parents=True, exist_ok=True)
            result = run(step, model, replace(ctx, workdir=folder))
            model, changed = result.model, changed or result.changed
            notes.extend(result.notes)
        return PassResult(model, changed, tuple(notes))

    def ensures(self, model: Any, ctx: Context) -> None:
        """Every step has checked its own result."""

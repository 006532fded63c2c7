"""From steps, as data, to a graph: names to passes, options checked, the pipeline run."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any

import msgspec

from whet._optional import require
from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Pipeline, Stage, run
from whet.core.recipe import Step
from whet.core.registry import resolve
from whet.errors import OptionError

__all__ = ["build", "pass_of", "step_of"]


def build(steps: Sequence[Step], graph: Artifact, ctx: Context) -> PassResult[Artifact]:
    """Apply passes one after another; each in a folder of its own below ``ctx.workdir``.

    Where the first takes a network, they begin with the original's program in place of the graph.

    Raises:
        OptionError: a name, an option or the order is wrong; nothing was run.
        PassError: a pass refused the graph or broke its promise.
    """
    if not steps:
        return PassResult(graph, False)
    pipeline = Pipeline(tuple(pass_of(step) for step in steps))
    if pipeline.gives is Stage.NETWORK:
        raise OptionError(
            f"'{steps[-1].name}' ends with a network, which no runtime runs.",
            "Put 'to-graph' behind the passes over networks.",
        )
    if pipeline.takes is Stage.NETWORK:
        network = require("whet.optimize.network.structure.net", "change a network")
        return run(pipeline, network.opened(ctx.program), ctx)
    return run(pipeline, graph, ctx)


def pass_of(step: Step) -> Pass[Any, Any]:
    """The pass that a step names, with its options checked.

    Raises:
        OptionError: no such pass, or an option that is unknown or of another kind.
    """
    cls = resolve("pass", step.name)
    if not dataclasses.is_dataclass(cls) or not issubclass(cls, Pass):
        raise OptionError(f"'{step.name}' is no pass.", "Name one of the registered passes.")
    known = {field.name for field in dataclasses.fields(cls) if field.init}
    unknown = sorted(set(step.options) - known)
    if unknown:
        raise OptionError(
            f"The pass '{step.name}' has no option {', '.join(unknown)}.",
            f"Its options are {', '.join(sorted(known)) or 'none'}.",
        )
    try:
        made: Pass[Any, Any] = msgspec.convert(step.options, cls)
    except msgspec.ValidationError as error:
        # A pass's own check comes through the converter with its sentence intact.
        if isinstance(error.__cause__, OptionError):
            raise error.__cause__ from error
        raise OptionError(
            f"An option of the pass '{step.name}' is wrong: {error}.",
            f"The pass is called as {step.name}{_called(cls)}.",
        ) from error
    return made


def _called(cls: type) -> str:
    return str(inspect.signature(cls)).partition(" ->")[0]


def step_of(made: Pass[Any, Any]) -> Step:
    """The step that `pass_of` makes this pass of; options at their default are left out."""
    if not dataclasses.is_dataclass(made) or isinstance(made, type):
        raise OptionError(f"'{made.name}' can't be written as a step.", "Write its parts as steps.")
    options = {
        field.name: msgspec.to_builtins(getattr(made, field.name))
        for field in dataclasses.fields(made)
        if field.init and getattr(made, field.name) != _default(field)
    }
    return Step(made.name, options)


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING

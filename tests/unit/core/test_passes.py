from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from whet.core.artifact import Artifact, Format
from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Pipeline, Stage, run
from whet.core.spec import Signature
from whet.errors import OptionError, PostconditionError, RequirementError


@dataclass(frozen=True)
class Add(Pass[int, int]):
    """Adds to a number; refuses negatives; promises to stay below a cap."""

    name: ClassVar[str] = "add"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.GRAPH
    amount: int
    cap: int = 100

    def requires(self, model: int, ctx: Context) -> None:
        if model < 0:
            raise RequirementError(f"{model} is negative.")

    def apply(self, model: int, ctx: Context) -> PassResult[int]:
        (ctx.workdir / "out").write_text(str(model + self.amount))
        return PassResult(model + self.amount, self.amount != 0, (Note("here", str(self.amount)),))

    def ensures(self, model: int, ctx: Context) -> None:
        if model > self.cap:
            raise PostconditionError(f"{model} is above {self.cap}.")


@dataclass(frozen=True)
class Compile(Pass[int, str]):
    """Changes the stage."""

    name: ClassVar[str] = "compile"
    takes: ClassVar[Stage] = Stage.GRAPH
    gives: ClassVar[Stage] = Stage.IR

    def requires(self, model: int, ctx: Context) -> None: ...

    def apply(self, model: int, ctx: Context) -> PassResult[str]:
        return PassResult(str(model), True)

    def ensures(self, model: str, ctx: Context) -> None: ...


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(tmp_path, Artifact("none", Format.ONNX, Signature((), ())))


def test_a_pipeline_is_a_pass_with_the_ends_of_its_steps(ctx: Context) -> None:
    line = Pipeline((Add(2), Add(3), Compile()))
    assert (line.takes, line.gives) == (Stage.GRAPH, Stage.IR)
    result = run(line, 1, ctx)
    assert result.model == "6"
    assert result.changed
    assert [n.reason for n in result.notes] == ["2", "3"]


def test_each_step_gets_a_folder_of_its_own(ctx: Context) -> None:
    run(Pipeline((Add(2), Add(3))), 1, ctx)
    assert (ctx.workdir / "0-add" / "out").read_text() == "3"
    assert (ctx.workdir / "1-add" / "out").read_text() == "6"


def test_pipelines_nest(ctx: Context) -> None:
    inner = Pipeline((Add(1), Add(1)))
    assert run(Pipeline((inner, Add(1))), 0, ctx).model == 3


def test_stages_are_checked_when_it_is_built() -> None:
    with pytest.raises(
        OptionError, match="'add' takes a graph, but 'compile' before it gives a ir"
    ):
        Pipeline((Compile(), Add(1)))


def test_an_empty_pipeline_is_refused() -> None:
    with pytest.raises(OptionError):
        Pipeline(())


def test_requirements_and_promises_are_checked_for_every_step(ctx: Context) -> None:
    with pytest.raises(RequirementError):
        run(Pipeline((Add(-5), Add(1))), 1, ctx)
    with pytest.raises(PostconditionError):
        run(Pipeline((Add(1), Add(5, cap=3))), 1, ctx)


def test_nothing_changed_is_said(ctx: Context) -> None:
    assert not run(Pipeline((Add(0), Add(0))), 1, ctx).changed

"""The contract suite of passes over graphs; a pass joins with one line.

    class TestTidy(PassContract):
        case = PassCase(Tidy(), model=untidy)

The suite holds a pass to what `whet.core.passes.Pass` promises: it never
touches the files it was given, keeps the signature unless it says otherwise,
gives a valid graph that runs and answers as closely as it claims, says
``changed=False`` exactly when it gives back what it got, refuses what it can't
treat, is deterministic, and survives being written as a step and read back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from whet.core.artifact import Artifact, Format
from whet.core.context import Context, Feed
from whet.core.passes import Pass, PassResult, Stage, run
from whet.core.recipe import Step
from whet.core.spec import Arrays, Signature
from whet.errors import RequirementError
from whet.optimize.build import build, pass_of, step_of
from whet.optimize.graph.runs import largest_difference, run_graph, synthetic

__all__ = ["PassCase", "PassContract"]


def _same(arrays: Arrays) -> Arrays:
    return arrays


def _kept(signature: Signature) -> Signature:
    return signature


@dataclass(frozen=True)
class PassCase:
    """What the suite needs to know of a pass.

    Attributes:
        step: the pass, with options under which it changes ``model``.
        model: writes a graph that the pass changes into a folder.
        idle: writes a graph that the pass leaves as it is, where there is one.
        tolerance: largest difference of the answers, as a share of the values around.
        signature: what the pass makes of a signature.
        inputs: what the original takes for an input of the changed graph.
        feed: repair inputs, for passes that need them.
        runs: how to get a graph's answers; by default ONNX Runtime.
    """

    step: Pass[Artifact, Artifact]
    model: Callable[[Path], Artifact]
    idle: Callable[[Path], Artifact] | None = None
    tolerance: float = 1e-5
    signature: Callable[[Signature], Signature] = _kept
    inputs: Callable[[Arrays], Arrays] = _same
    feed: Callable[[], Feed] | None = None
    runs: Callable[[Artifact, Arrays], Arrays] = run_graph


class PassContract:
    """Inherit and set ``case``."""

    case: ClassVar[PassCase]

    def _model(self, folder: Path) -> Artifact:
        folder.mkdir(parents=True)
        return self.case.model(folder)

    def _context(self, model: Artifact, folder: Path) -> Context:
        folder.mkdir(parents=True, exist_ok=True)
        feed = self.case.feed() if self.case.feed is not None else None
        return Context(workdir=folder, reference=model, repair=feed)

    def _applied(self, tmp_path: Path) -> tuple[Artifact, PassResult[Artifact]]:
        model = self._model(tmp_path / "model")
        return model, run(self.case.step, model, self._context(model, tmp_path / "work"))

    def test_leaves_its_input_files_alone(self, tmp_path: Path) -> None:
        model = self._model(tmp_path / "model")
        before = model.digest(), sorted(p.name for p in model.file.parent.iterdir())
        run(self.case.step, model, self._context(model, tmp_path / "work"))
        assert (model.digest(), sorted(p.name for p in model.file.parent.iterdir())) == before

    def test_writes_into_its_own_folder_only(self, tmp_path: Path) -> None:
        _, result = self._applied(tmp_path)
        assert result.changed
        for file in result.model.files():
            assert file.is_file()
            assert file.resolve().is_relative_to((tmp_path / "work").resolve())

    def test_gives_the_declared_signature(self, tmp_path: Path) -> None:
        model, result = self._applied(tmp_path)
        assert result.model.signature == self.case.signature(model.signature)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_answers_as_closely_as_it_claims(self, tmp_path: Path, batch: int) -> None:
        model, result = self._applied(tmp_path)
        inputs = synthetic(result.model.signature, {"batch": batch, "sequence": 5}, seed=batch)
        want = run_graph(model, self.case.inputs(inputs))
        have = self.case.runs(result.model, inputs)
        assert largest_difference(want, have) <= self.case.tolerance
        assert all(np.isfinite(a).all() for a in have.values() if a.dtype.kind == "f")

    def test_says_unchanged_when_it_changes_nothing(self, tmp_path: Path) -> None:
        if self.case.idle is None:
            pytest.skip("this pass changes every graph")
        folder = tmp_path / "idle"
        folder.mkdir()
        model = self.case.idle(folder)
        result = run(self.case.step, model, self._context(model, tmp_path / "work"))
        assert not result.changed
        assert result.model == model

    def test_says_why_it_left_something_alone(self, tmp_path: Path) -> None:
        _, result = self._applied(tmp_path)
        assert all(note.where and note.reason for note in result.notes)

    def test_refuses_another_format(self, tmp_path: Path) -> None:
        model = self._model(tmp_path / "model")
        other = msgspec.structs.replace(
            model, format=Format.TORCH if self.case.step.takes is Stage.GRAPH else Format.ONNX
        )
        with pytest.raises(RequirementError) as caught:
            run(self.case.step, other, self._context(model, tmp_path / "work"))
        assert caught.value.remedy

    def test_refuses_a_missing_file(self, tmp_path: Path) -> None:
        model = self._model(tmp_path / "model")
        gone = msgspec.structs.replace(model, path=str(tmp_path / "gone.onnx"))
        with pytest.raises(RequirementError):
            run(self.case.step, gone, self._context(model, tmp_path / "work"))

    def test_is_deterministic(self, tmp_path: Path) -> None:
        model = self._model(tmp_path / "model")
        first = run(self.case.step, model, self._context(model, tmp_path / "one"))
        second = run(self.case.step, model, self._context(model, tmp_path / "two"))
        assert first.model.digest() == second.model.digest()
        assert first.notes == second.notes

    def test_survives_as_a_step(self, tmp_path: Path) -> None:
        step = step_of(self.case.step)
        read: Step = msgspec.json.decode(msgspec.json.encode(step), type=Step)
        again: Pass[Any, Any] = pass_of(read)
        assert again == self.case.step
        model = self._model(tmp_path / "model")
        ctx = self._context(model, tmp_path / "work")
        built = build((read,), model, ctx)
        direct = run(self.case.step, model, replace(ctx, workdir=tmp_path / "direct"))
        assert built.model.digest() == direct.model.digest()

    def test_is_immutable_and_comparable(self) -> None:
        assert hash(self.case.step) == hash(self.case.step)
        with pytest.raises(AttributeError):
            self.case.step.name = "other"  # type: ignore[misc]  # that this fails is the point

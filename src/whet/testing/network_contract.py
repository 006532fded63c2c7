"""The contract suite of passes over networks; a pass joins with one line.

    class TestNarrow(NetworkPassContract):
        case = NetworkCase(Narrow(0.5), net=residual_net, feed=pictures)

The suite holds a pass to what the others rely on: it leaves the network that it
was given and the original as they are, keeps what says where a network can be
cut, gives one that answers requests of any size in the same form, is ready to
serve and can be written as a graph that answers alike, is deterministic, and
survives being written as a step and read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from whet.core.artifact import Artifact, Format
from whet.core.context import Context, Feed
from whet.core.passes import Pass, PassResult, run
from whet.core.recipe import Step
from whet.errors import RequirementError
from whet.optimize.build import pass_of, step_of
from whet.optimize.graph.runs import run_graph
from whet.optimize.network.structure.net import Net
from whet.optimize.network.to_graph import ToGraph

__all__ = ["NetworkCase", "NetworkPassContract"]

_ROWS = (1, 3)
_WRITTEN = 1e-4  # of the largest answer: a graph fuses and orders sums in its own way
_ROUNDED = 1e-2  # of it, where a value more or less is rounded to its other side


@dataclass(frozen=True)
class NetworkCase:
    """What the suite needs to know of a pass.

    Attributes:
        step: the pass, with options under which it changes the network.
        net: makes the network, always the same.
        feed: samples that it may learn from.
        before: passes that come before it.
        idle: the pass with options under which it has nothing to do, where there are some.
        refused: the pass with options that this network can't be treated with, where there are some.
        labels: right answers to the samples, for passes that learn them.
        rounds: whether the network rounds values, so that what a graph sums in another order may
            be rounded to the other side.
    """

    step: Pass[Net, Net]
    net: Callable[[], Net]
    feed: Callable[[], Feed]
    before: tuple[Pass[Net, Net], ...] = ()
    idle: Pass[Net, Net] | None = None
    refused: Pass[Net, Net] | None = None
    labels: Callable[[], np.ndarray] | None = None
    rounds: bool = False


@dataclass(frozen=True)
class _Applied:
    """A network before, what it was like, and what the pass made of it."""

    given: Net
    before: list[Mapping[str, torch.Tensor]]
    code: tuple[str, str]
    result: PassResult[Net]


class NetworkPassContract:
    """Inherit and set ``case``. The pass is applied once for all tests but those that need it again."""

    case: ClassVar[NetworkCase]

    @pytest.fixture(scope="class")
    @classmethod
    def applied(cls, tmp_path_factory: pytest.TempPathFactory) -> _Applied:
        return cls._applied(tmp_path_factory.mktemp("network"))

    @classmethod
    def _applied(cls, folder: Path) -> _Applied:
        given = cls._given(folder / "before")
        before = [_state(m) for m in (given.module, given.original)]
        code = given.module.code, given.original.code
        result = run(cls.case.step, given, cls._context(folder / "work"))
        return _Applied(given, before, code, result)

    @classmethod
    def _given(cls, folder: Path) -> Net:
        net, ctx = cls.case.net(), cls._context(folder)
        for step in cls.case.before:
            net = run(step, net, ctx).model
        return net

    @classmethod
    def _context(cls, folder: Path) -> Context:
        folder.mkdir(parents=True, exist_ok=True)
        labels = cls.case.labels() if cls.case.labels is not None else None
        signature = cls.case.net().signature
        nowhere = Artifact(str(folder / "none.onnx"), Format.ONNX, signature)
        return Context(folder, nowhere, cls.case.feed(), seed=3, labels=labels)

    def test_leaves_what_it_was_given(self, applied: _Applied) -> None:
        given = applied.given
        assert (given.module.code, given.original.code) == applied.code
        for module, was in zip((given.module, given.original), applied.before, strict=True):
            _assert_same(_state(module), was)

    def test_keeps_what_teaches_and_where_it_is_cut(self, applied: _Applied) -> None:
        given, result = applied.given, applied.result
        assert result.changed
        assert result.model.module is not given.module
        assert result.model.teacher is given.teacher
        assert result.model.signature == given.signature
        for module in (result.model.module, result.model.original):
            values = {node.name for node in module.graph.nodes}
            assert {block.span.exit for block in result.model.cut.blocks} <= values

    def test_is_ready_to_serve(self, applied: _Applied) -> None:
        """No batch norm or dropout as in training, and nothing left of learning."""
        module = applied.result.model.module
        assert not any(each.training for each in module.modules())
        assert all(p.grad is None for p in module.parameters())

    def test_answers_in_the_same_form_and_so_does_its_graph(
        self, applied: _Applied, tmp_path: Path
    ) -> None:
        net = applied.result.model
        graph = run(ToGraph(), net, self._context(tmp_path)).model
        for rows in _ROWS:
            arrays = self.case.feed().rows(np.arange(rows))
            request = [torch.from_numpy(arrays[spec.name]) for spec in net.signature.inputs]
            with torch.no_grad():
                wanted, found = (_flat(m(*request)) for m in (net.teacher, net.module))
            written = run_graph(graph, {s.name: arrays[s.name] for s in net.signature.inputs})
            for spec, one, other in zip(net.signature.outputs, found, wanted, strict=True):
                assert (one.shape, one.dtype) == (other.shape, other.dtype)
                assert bool(torch.isfinite(one).all())
                off = (torch.from_numpy(written[spec.name]) - one).abs().max()
                most = _ROUNDED if self.case.rounds else _WRITTEN
                assert float(off) <= most * max(1.0, float(one.abs().max()))

    def test_survives_as_a_step_and_is_deterministic(
        self, applied: _Applied, tmp_path: Path
    ) -> None:
        read: Step = msgspec.json.decode(msgspec.json.encode(step_of(self.case.step)), type=Step)
        again: Pass[Any, Any] = pass_of(read)
        assert again == self.case.step
        result = run(again, applied.given, self._context(tmp_path))
        _assert_same(_state(result.model.module), _state(applied.result.model.module))
        assert result.notes == applied.result.notes

    def test_says_unchanged_when_it_changes_nothing(
        self, applied: _Applied, tmp_path: Path
    ) -> None:
        if self.case.idle is None:
            pytest.skip("this pass changes every network")
        result = run(self.case.idle, applied.given, self._context(tmp_path))
        assert not result.changed
        _assert_same(_state(result.model.module), _state(applied.given.module))

    def test_refuses_what_it_cannot_treat(self, applied: _Applied, tmp_path: Path) -> None:
        if self.case.refused is None:
            pytest.skip("this pass treats every network")
        with pytest.raises(RequirementError) as caught:
            run(self.case.refused, applied.given, self._context(tmp_path))
        assert caught.value.remedy

    def test_says_why_it_left_something_alone(self, applied: _Applied) -> None:
        assert all(note.where and note.reason for note in applied.result.notes)

    def test_is_immutable(self) -> None:
        with pytest.raises(AttributeError):
            self.case.step.name = "other"  # type: ignore[misc]  # that this fails is the point


def _state(module: nn.Module) -> Mapping[str, torch.Tensor]:
    """All that it holds, also what it doesn't save."""
    held = dict(module.named_parameters()) | dict(module.named_buffers())
    return {name: value.detach().clone() for name, value in held.items()}


def _assert_same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def _flat(answers: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return answers if isinstance(answers, tuple) else (answers,)

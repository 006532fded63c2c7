"""Teaching a changed network by its original, with its answers as oracle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from surgery_nets import context, encoder_net, pictures, residual_net, texts

from whet.core.context import Context
from whet.core.lesson import Lesson
from whet.core.passes import run
from whet.errors import OptionError, RequirementError
from whet.optimize.network.distill import Distill, step_s
from whet.optimize.network.learning import train as training
from whet.optimize.network.learning.views import Inputs, View
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.repair import Repair
from whet.optimize.network.structure.net import Batches, Net


def _off(net: Net, batches: Batches) -> float:
    """Squared distance of the answers, as a share of the original's."""
    with torch.no_grad():
        pairs = [(net.module(*b), net.original(*b)) for b in batches]
    return sum(float((a - b).square().sum()) for a, b in pairs) / sum(
        float(b.square().sum()) for _, b in pairs
    )


def _narrowed(net: Net, ctx: Context, share: float = 0.5) -> Net:
    return run(Repair(), run(Narrow(share), net, ctx).model, ctx).model


def test_answers_come_nearer_on_samples_not_learnt_from(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(batches=16), tmp_path)
    before = run(Narrow(0.5), net, ctx).model
    result = run(Distill(steps=60, batch=16, rate=1e-2), before, ctx)
    unseen = pictures(seed=9)
    assert result.changed
    assert _off(result.model, unseen) < 0.5 * _off(before, unseen)


def test_text_encoders_learn_too(tmp_path: Path) -> None:
    net = encoder_net()
    ctx = context(net, texts(batches=8), tmp_path)
    before = run(Narrow(0.75), net, ctx).model
    result = run(Distill(steps=40, batch=16, rate=1e-2), before, ctx)
    assert _off(result.model, texts()) < 0.5 * _off(before, texts())


def test_neither_the_original_nor_what_was_given_changes(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    before = _narrowed(net, ctx)
    kept = {k: v.clone() for k, v in before.module.state_dict().items()}
    teacher = {k: v.clone() for k, v in net.original.state_dict().items()}
    run(Distill(steps=5, batch=8), before, ctx)
    assert all(torch.equal(v, kept[k]) for k, v in before.module.state_dict().items())
    assert all(torch.equal(v, teacher[k]) for k, v in net.original.state_dict().items())
    assert all(p.grad is None for p in net.original.parameters())


def test_nothing_gets_worse_by_steps_that_are_far_too_long(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    before = _narrowed(net, ctx, 0.25)
    result = run(Distill(steps=10, batch=8, rate=0.99), before, ctx)
    assert _off(result.model, pictures()) <= _off(before, pictures())


def test_the_same_seed_learns_the_same(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    before = _narrowed(net, ctx)
    folders = [replace(ctx, workdir=tmp_path / name) for name in ("a", "b")]
    one, two = (run(Distill(steps=8, batch=8), before, each).model.module for each in folders)
    assert all(torch.equal(v, two.state_dict()[k]) for k, v in one.state_dict().items())


def test_a_run_that_was_cut_off_ends_where_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    before = _narrowed(net, ctx)
    whole = run(Distill(steps=20, batch=8), before, replace(ctx, workdir=tmp_path / "whole"))
    seen: list[int] = []
    look = training.seen_anew

    def fails_at_twelve(batch: Inputs, random: torch.Generator) -> View:
        seen.append(1)
        if len(seen) == 12:
            raise KeyboardInterrupt
        return look(batch, random)

    cut = replace(ctx, workdir=tmp_path / "cut")
    monkeypatch.setattr(training, "seen_anew", fails_at_twelve)
    with pytest.raises(KeyboardInterrupt):
        run(Distill(steps=20, batch=8), before, cut)
    told: list[Lesson] = []
    rest = run(Distill(steps=20, batch=8), before, replace(cut, tell=told.append))
    assert len(seen) == 12 + 20 - 10  # a checkpoint is kept every second step
    for name, value in whole.model.module.state_dict().items():
        assert torch.equal(value, rest.model.module.state_dict()[name])
    assert [lesson.done for lesson in told] == list(range(10, 21))
    assert all(lesson.begun == 10 for lesson in told)


def test_it_says_after_each_step_how_far_it_is_and_what_it_gained(tmp_path: Path) -> None:
    net, told = residual_net(), list[Lesson]()
    ctx = context(net, pictures(batches=16), tmp_path)
    before = run(Narrow(0.5), net, ctx).model
    run(Distill(steps=30, batch=16, rate=1e-2), before, replace(ctx, tell=told.append))
    assert told[0] == Lesson(0, 30, 0, 1.0)
    assert [lesson.done for lesson in told] == list(range(31))
    shares = [lesson.loss_share for lesson in told]
    assert shares == sorted(shares, reverse=True), "the best so far"
    assert 0 < shares[-1] < 0.8


def test_more_samples_are_learnt_from_where_there_are_some(tmp_path: Path) -> None:
    net = residual_net()
    few, many = pictures(batches=1), pictures(batches=24, seed=3)
    ctx = context(net, few, tmp_path)
    train = context(net, many).repair
    before = run(Narrow(0.5), net, ctx).model
    taught = [
        run(Distill(steps=60, batch=16, rate=1e-2), before, each).model
        for each in (
            replace(ctx, workdir=tmp_path / "few"),
            replace(ctx, workdir=tmp_path / "many", train=train),
        )
    ]
    unseen = pictures(seed=9)
    assert _off(taught[1], unseen) < _off(taught[0], unseen)


def test_the_original_has_nothing_to_learn(tmp_path: Path) -> None:
    net = residual_net()
    with pytest.raises(RequirementError, match="original still"):
        run(Distill(), net, context(net, pictures(), tmp_path))


@pytest.mark.parametrize("options", [{"steps": 0}, {"batch": 0}, {"rate": 0.0}, {"rate": 1.0}])
def test_options_that_teach_nothing_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="Nothing is learnt"):
        Distill(**options)  # type: ignore[arg-type]


def test_a_step_takes_time_and_leaves_the_network(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    before = _narrowed(net, ctx)
    kept = {k: v.clone() for k, v in before.module.state_dict().items()}
    assert 0 < step_s(before, ctx, 8) < 60
    assert all(torch.equal(v, kept[k]) for k, v in before.module.state_dict().items())

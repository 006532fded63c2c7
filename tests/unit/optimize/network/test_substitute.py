"""Another network in the original's place: what it keeps, and that it learns to answer alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from surgery_nets import Rows, context, encoder_net, pictures, residual_net, texts
from test_blocks import Small
from test_distill import _off

import whet
from whet.core.context import Context
from whet.core.passes import Pass, run
from whet.core.recipe import Step
from whet.core.spec import TensorSpec
from whet.errors import OptionError, RequirementError
from whet.optimize.build import build
from whet.optimize.export import Exported, export
from whet.optimize.graph.runs import run_graph
from whet.optimize.intake.live import load_module
from whet.optimize.network.distill import Distill
from whet.optimize.network.structure.net import Net
from whet.optimize.network.students.architectures import backbone_of, made
from whet.optimize.network.students.body import body_of
from whet.optimize.network.students.zoo import Student
from whet.optimize.network.substitute import Substitute

SMALL = Substitute("resnet", width=0.25, depth=0.5)


def test_it_begins_with_random_weights_and_learns_to_answer_alike(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(batches=16), tmp_path)
    before = run(SMALL, net, ctx)
    assert before.changed
    assert before.model.original is net.original
    taught = run(Distill(steps=60, batch=16, rate=0.03, norms=True), before.model, ctx).model
    unseen = pictures(seed=9)
    assert _off(before.model, unseen) > 0.5, "random answers"
    assert _off(taught, unseen) < 0.25


def test_texts_are_learnt_too(tmp_path: Path) -> None:
    net = encoder_net()
    ctx = context(net, texts(batches=8), tmp_path)
    before = run(Substitute("bert", 0.1, 0.17), net, ctx).model
    taught = run(Distill(steps=60, batch=16, rate=0.03), before, ctx).model
    assert _off(taught, texts()) < 0.5 * _off(before, texts())


def test_biases_that_begin_as_nothing_learn(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(batches=8), tmp_path)
    before = run(SMALL, net, ctx).model
    taught = run(Distill(steps=10, batch=16, rate=0.03, norms=True), before, ctx).model
    biases = {n: p for n, p in before.module.named_parameters() if n.endswith("bias")}
    assert all(not p.any() for p in biases.values())
    moved = [float(taught.module.get_parameter(n).detach().abs().mean()) for n in biases]
    assert min(moved) > 1e-3


def test_norms_that_learn_keep_a_mean_of_what_they_saw(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(batches=8), tmp_path)
    before = run(SMALL, net, ctx).model
    kept, learnt = (
        run(
            Distill(steps=10, batch=16, norms=norms),
            before,
            replace(ctx, workdir=tmp_path / str(norms)),
        ).model
        for norms in (False, True)
    )
    names = [n for n, _ in before.module.named_buffers() if n.endswith("running_mean")]
    assert names
    own = before.module.state_dict()
    assert all(torch.equal(kept.module.state_dict()[n], own[n]) for n in names)
    assert not any(torch.equal(learnt.module.state_dict()[n], own[n]) for n in names)
    assert not any(m.training for m in learnt.module.modules())
    with pytest.raises(OptionError, match="2 or more rows"):
        Distill(batch=1, norms=True)


def test_the_same_seed_gives_the_same_student(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    one, two = (run(SMALL, net, ctx).model.module.state_dict() for _ in range(2))
    other = run(SMALL, net, replace(ctx, seed=1)).model.module.state_dict()
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    "other", [whet.Narrow(0.5), whet.Factor(0.5), whet.DropBlocks(("one",)), whet.Repair()]
)
def test_passes_over_the_originals_layers_are_refused(
    other: Pass[Net, Net], tmp_path: Path
) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    found = run(SMALL, net, ctx).model
    with pytest.raises(RequirementError, match="none of its layers"):
        run(other, found, ctx)
    if not isinstance(other, whet.Repair):
        with pytest.raises(RequirementError, match="would be lost"):
            run(SMALL, run(other, net, ctx).model, ctx)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"family": "vgg"}, "no family 'vgg'"),
        ({"family": "resnet", "width": 0.0}, "make no student"),
        ({"family": "resnet", "width": 9.0}, "make no student"),
        ({"family": "resnet", "resolution": 1.5}, "make no student"),
        ({"family": "mobilenet-v1", "depth": 0.5}, "one depth"),
        ({"family": "bert", "resolution": 0.7}, "one resolution"),
    ],
)
def test_sizes_that_make_nothing_are_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Substitute(**options)  # type: ignore[arg-type]


def test_weights_of_a_directory_are_begun_with(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path / "work")
    body = body_of(net.original, net.signature)
    theirs = backbone_of(made(Student("resnet", 0.25, 0.5), body, seed=77))
    theirs.save_pretrained(tmp_path / "mine")
    found = run(replace(SMALL, weights=str(tmp_path / "mine")), net, ctx).model
    for name, value in theirs.named_parameters():
        assert torch.equal(found.module.get_parameter(f"student.backbone.{name}"), value)
    with pytest.raises(RequirementError, match="another architecture: 'embedder"):
        run(replace(SMALL, width=0.5, weights=str(tmp_path / "mine")), net, ctx)
    with pytest.raises(RequirementError, match=r"no 'model.safetensors'"):
        run(replace(SMALL, weights=str(tmp_path / "nowhere")), net, ctx)


def shown(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 3, 20, 20)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    spec = TensorSpec("x", "float32", ("batch", 3, 20, 20))
    folder = tmp_path_factory.mktemp("network")
    return export(load_module(Small().eval()), (spec,), {"x": shown(4)}, folder)


def test_a_recipe_makes_the_same_graph_again(exported: Exported, tmp_path: Path) -> None:
    steps = (
        SMALL_STEP,
        Step("distill", {"steps": 4, "batch": 8, "norms": True}),
        Step("to-graph"),
    )
    file = tmp_path / "r.yaml"
    whet.write_recipe(whet.Pipeline([SMALL, Distill(4, 8, norms=True)]), file)
    assert whet.read_recipe(file).steps == steps
    graphs = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        rows = Rows({"x": shown(64)})
        ctx = Context(tmp_path / name, exported.graph, rows, program=exported.program)
        graphs.append(build(steps, exported.graph, ctx).model)
    one, other = graphs
    assert one.digest() == other.digest()
    assert one.signature == exported.graph.signature
    inputs = {"x": shown(5, seed=3)}
    own, its = (next(iter(run_graph(g, inputs).values())) for g in (one, exported.graph))
    assert own.shape == its.shape


SMALL_STEP = Step("substitute", {"family": "resnet", "width": 0.25, "depth": 0.5})

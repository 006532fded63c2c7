from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from surgery_nets import Rows
from test_blocks import Small

from whet.core.context import Context
from whet.core.passes import Pipeline, run
from whet.core.recipe import Step
from whet.core.spec import TensorSpec
from whet.errors import OptionError, RequirementError
from whet.optimize.build import build, pass_of
from whet.optimize.export import Exported, export
from whet.optimize.graph.facts import facts
from whet.optimize.graph.runs import run_graph
from whet.optimize.intake.live import load_module
from whet.optimize.network.structure.net import opened

STEPS = (Step("narrow", {"share": 0.5}), Step("repair"), Step("to-graph"))


def pictures(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 3, 20, 20)).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    network = load_module(Small().eval())
    spec = TensorSpec("x", "float32", ("batch", 3, 20, 20))
    return export(network, (spec,), {"x": pictures(4)}, tmp_path_factory.mktemp("network"))


def context(exported: Exported, folder: Path) -> Context:
    folder.mkdir(exist_ok=True)
    rows = Rows({"x": pictures(64)})
    return Context(folder, exported.graph, rows, program=exported.program)


def test_a_recipe_begins_with_the_network_and_ends_with_a_smaller_graph(
    exported: Exported, tmp_path: Path
) -> None:
    made = build(STEPS, exported.graph, context(exported, tmp_path)).model
    assert made.signature == exported.graph.signature
    before, after = (facts(graph, {}) for graph in (exported.graph, made))
    assert after.macs < 0.8 * before.macs
    assert after.parameters < 0.8 * before.parameters
    for rows in (1, 5):
        inputs = {"x": pictures(rows, seed=3)}
        own, its = (next(iter(run_graph(g, inputs).values())) for g in (made, exported.graph))
        assert own.shape == its.shape
        assert np.abs(own - its).max() < 0.5 * np.abs(its).max()


@pytest.mark.parametrize(
    "step",
    [Step("separate", {"multiplier": 2}), Step("sparsify", {"pattern": "2:4"})],
    ids=["separate", "sparsify"],
)
def test_a_graph_answers_as_its_network_does(
    step: Step, exported: Exported, tmp_path: Path
) -> None:
    ctx = context(exported, tmp_path)
    changed = run(Pipeline((pass_of(step), pass_of(Step("repair")))), opened(ctx.program), ctx)
    assert changed.model.pairs or changed.model.sparse
    made = build((step, Step("repair"), Step("to-graph")), exported.graph, ctx).model
    for rows in (1, 5):
        x = pictures(rows, seed=3)
        with torch.no_grad():
            wanted = changed.model.module(torch.from_numpy(x))
        (found,) = run_graph(made, {"x": x}).values()
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4, rtol=1e-4)


def test_passes_over_graphs_go_on_from_there(exported: Exported, tmp_path: Path) -> None:
    steps = (*STEPS, Step("quantize-dynamic"))
    made = build(steps, exported.graph, context(exported, tmp_path)).model
    assert made.size_bytes() > 0
    assert np.isfinite(next(iter(run_graph(made, {"x": pictures(2)}).values()))).all()


def test_the_same_recipe_gives_the_same_graph(exported: Exported, tmp_path: Path) -> None:
    one, other = (
        build(STEPS, exported.graph, context(exported, tmp_path / name)).model
        for name in ("one", "other")
    )
    assert one.digest() == other.digest()


def test_what_ends_with_a_network_or_begins_without_one_is_refused(
    exported: Exported, tmp_path: Path
) -> None:
    ctx = context(exported, tmp_path)
    with pytest.raises(OptionError, match="no runtime runs"):
        build(STEPS[:-1], exported.graph, ctx)
    with pytest.raises(RequirementError, match="came as a graph"):
        build(STEPS, exported.graph, replace(ctx, program=None))
    with pytest.raises(OptionError, match="takes a network"):
        build((Step("tidy"), *STEPS), exported.graph, ctx)

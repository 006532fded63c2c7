"""Smaller pictures within a network: the same answers' sizes, less work, batch norms that fit."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from surgery_nets import context, encoder_net, residual_net, texts, under_surgery
from test_blocks import layered
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "fixtures" / "networks"))

from resnet import cifar_resnet20

from whet.core.artifact import Artifact, Format
from whet.core.passes import Pass, Pipeline, run
from whet.core.recipe import Step
from whet.core.spec import Signature, TensorSpec
from whet.errors import OptionError, RequirementError
from whet.optimize.build import pass_of, step_of
from whet.optimize.graph.runs import run_graph
from whet.optimize.network.distill import Distill
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.factor import Factor
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.repair import Repair
from whet.optimize.network.resize import Resize, resized
from whet.optimize.network.slim import Slim
from whet.optimize.network.structure.net import Batches, Net
from whet.optimize.network.structure.walk import Walk
from whet.optimize.network.to_graph import ToGraph


def residual() -> Net:
    """Two bottlenecks, with batch norms as after a training."""
    net = residual_net()
    for layer in net.original.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
            layer.train()
    with torch.no_grad():
        net.original(smooth(1, 64, seed=3)[0][0])
    net.original.eval()
    return net


def smooth(batches: int = 4, rows: int = 16, seed: int = 1, side: int = 17) -> Batches:
    """Pictures whose neighbouring pixels are alike, as photographs' are."""
    random = torch.Generator().manual_seed(seed)
    size = (side, side)
    return tuple(
        (
            functional.interpolate(
                torch.randn(rows, 3, 6, 6, generator=random), size, mode="bilinear"
            ),
        )
        for _ in range(batches)
    )


def off(net: Net, fresh: torch.Tensor) -> float:
    with torch.no_grad():
        wanted, found = net.teacher(fresh), net.module(fresh)
    return float((found - wanted).square().mean() / wanted.square().mean())


def test_all_behind_works_as_on_a_smaller_picture() -> None:
    net = residual()
    ((picture,),) = smooth(1)
    small = functional.interpolate(picture, (13, 13), mode="bilinear")
    found = resized(net, 13)
    on_small, inside = Walk(net.original, [(small,)]), Walk(found.module, [(picture,)])
    for block in net.cut.blocks[:-1]:
        name = block.span.exit
        (wanted,), (own,) = on_small.at(name), inside.at(name)
        torch.testing.assert_close(own, wanted)
        assert tuple(own.shape[1:]) == found.block(block.name).gives[1:]
    assert found.module(picture).shape == net.original(picture).shape
    assert [b.name for b in found.cut.blocks] == [b.name for b in net.cut.blocks]


def test_a_pooling_over_the_whole_map_stays_one() -> None:
    """ResNet-20's last pooling has the size of its map written into it."""
    torch.manual_seed(0)
    answer = TensorSpec("scores", "float32", ("batch", 10))
    spec = TensorSpec("picture", "float32", ("batch", 3, 32, 32))
    module = layered(cifar_resnet20(), torch.randn(2, 3, 32, 32))
    net = under_surgery(module, Signature((spec,), (answer,)))
    ((picture,),) = smooth(1, 2, side=32)
    small = functional.interpolate(picture, (24, 24), mode="bilinear")
    with torch.no_grad():
        found = resized(net, 24).module(picture)
        wanted = cifar_resnet20().eval()
        wanted.load_state_dict(module.state_dict(), strict=False)
        torch.testing.assert_close(found, wanted(small))


def test_batch_norms_are_adapted_to_it() -> None:
    net, data = residual(), smooth()
    ctx = context(net, data)
    ((fresh,),) = smooth(1, 64, seed=9)
    found = run(Resize(11), net, ctx).model
    assert found.teacher is net.original
    assert off(found, fresh) < off(resized(net, 11), fresh)


@pytest.mark.parametrize(
    "passes",
    [
        (Slim(0.25), Narrow(0.25), Factor(0.4), DropBlocks(("one",))),
        (DropBlocks(("two",)),),
    ],
    ids=lambda passes: "-".join(each.name for each in passes),
)
def test_what_follows_is_repaired_on_the_smaller_maps(
    passes: tuple[Pass[Net, Net], ...], tmp_path: Path
) -> None:
    net, data = residual(), smooth()
    ctx = context(net, data, tmp_path)
    changed = run(Pipeline((Resize(13), *passes)), net, ctx).model
    found = run(Repair(), changed, ctx).model
    ((fresh,),) = smooth(1, 32, seed=9)
    assert off(found, fresh) < off(changed, fresh)


def test_it_learns_the_answers_of_the_network_as_it_came(tmp_path: Path) -> None:
    net, data = residual(), smooth()
    ctx = context(net, data, tmp_path)
    small = run(Resize(13), net, ctx).model
    taught = run(Distill(steps=60, batch=16, rate=1e-2), small, ctx)
    assert taught.changed
    ((fresh,),) = smooth(1, 64, seed=9)
    assert off(taught.model, fresh) < off(small, fresh)


def test_the_graph_takes_the_pictures_that_the_original_took(tmp_path: Path) -> None:
    net, data = residual(), smooth()
    reference = Artifact(str(tmp_path / "network.onnx"), Format.ONNX, net.signature)
    ctx = replace(context(net, data, tmp_path), reference=reference)
    found = run(Resize(13), net, ctx).model
    graph = run(ToGraph(), found, ctx).model
    ((fresh,),) = smooth(1, 5, seed=9)
    with torch.no_grad():
        wanted = found.module(fresh).numpy()
    (answer,) = run_graph(graph, {"picture": fresh.numpy()}).values()
    assert answer == pytest.approx(wanted, abs=1e-4)


class Fixed(nn.Module):
    """One that gives each place of its map a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.places = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 64, 8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((self.patches(x).flatten(2).mT + self.places).mean(1))


class Map(nn.Module):
    """One whose answer is a map."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.two(torch.relu(self.one(x)))


@pytest.mark.parametrize("kind", [Fixed, Map])
def test_a_network_that_needs_its_size_says_so(kind: type[nn.Module]) -> None:
    spec = TensorSpec("x", "float32", ("batch", 3, 32, 32))
    module = layered(kind(), torch.randn(2, 3, 32, 32))
    net = under_surgery(module, Signature((spec,), (TensorSpec("y", "float32", ("batch", 4)),)))
    with pytest.raises(RequirementError, match="one size alone") as caught:
        run(Resize(24), net, context(net, smooth(side=32)))
    assert caught.value.remedy


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(OptionError, match="4 pixels"):
        Resize(4)
    net, data = residual_net(), smooth()
    with pytest.raises(RequirementError, match="17 x 17"):
        run(Resize(17), net, context(net, data))
    narrow = run(Slim(0.5), residual(), context(residual(), data)).model
    with pytest.raises(RequirementError, match="changed before"):
        run(Resize(13), narrow, context(narrow, data))
    words = encoder_net()
    with pytest.raises(RequirementError, match="one picture"):
        run(Resize(13), words, context(words, texts()))


def test_it_survives_as_a_step() -> None:
    read = msgspec.json.decode(msgspec.json.encode(step_of(Resize(13))), type=Step)
    assert pass_of(read) == Resize(13)

"""The stream between blocks: which channels are one, and what is left when some go."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from surgery_nets import context, encoder_net, pictures, residual_net, texts, under_surgery
from test_blocks import Small, layered
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "fixtures" / "networks"))

from resnet import cifar_resnet20

from whet.core.passes import Pass, Pipeline, run
from whet.core.recipe import Step
from whet.core.spec import Signature, TensorSpec
from whet.errors import OptionError, RequirementError
from whet.optimize.build import pass_of, step_of
from whet.optimize.network.channels.groups import shared_channels
from whet.optimize.network.distill import Distill
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.factor import Factor
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.repair import Repair, repaired
from whet.optimize.network.slim import Slim, StreamWidth, slimmed, stream_orders, stream_widths
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.net import Batches, Net, example_of
from whet.optimize.network.structure.walk import Walk


class Reader(nn.Module):
    """A transformer's layers over hidden values that end in a pooled answer."""

    class Layer(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
            self.mixes = nn.ModuleList(nn.Linear(width, 8) for _ in range(3))
            self.out, self.scale = nn.Linear(8, width), nn.Parameter(torch.ones(width))
            self.up, self.down = nn.Linear(width, 12), nn.Linear(12, width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = (mix(self.before(x)) for mix in self.mixes)
            x = x + self.scale * self.out(torch.softmax(q @ k.mT, -1) @ v)
            return x + self.down(functional.gelu(self.up(self.after(x))))

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(20, 16), nn.Parameter(torch.randn(1, 9, 16))
        self.layers = nn.Sequential(*(self.Layer(16) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.layers(self.words(ids) + self.places)).mean(1))


class Flat(nn.Module):
    """Channels that are laid side by side, as their number is written into the network."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 8, 3, 2)
        self.head = nn.Linear(8 * 9, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.two(torch.relu(self.one(x))))
        return self.head(x.view(-1, 8 * 9))


def net_of(module: nn.Module, *given: torch.Tensor) -> Net:
    kinds = {torch.float32: "float32", torch.int64: "int64"}
    specs = tuple(
        TensorSpec(f"x{i}", kinds[x.dtype], ("batch", *x.shape[1:])) for i, x in enumerate(given)
    )
    answer = TensorSpec("y", "float32", ("batch", 4))
    return under_surgery(layered(module, *given), Signature(specs, (answer,)))


def made(kind: Callable[[], nn.Module]) -> Net:
    torch.manual_seed(0)
    net = kind()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 2)
    side = 32 if kind is cifar_resnet20 else 17
    shape = (2, 9) if kind is Reader else (2, 3, side, side)
    return net_of(net, torch.randint(20, shape) if kind is Reader else torch.randn(shape))


def widths_in(net: Net) -> tuple[StreamWidth, ...]:
    return stream_widths(net, shared_channels(net.original, example_of(net)))


def orders_at_random(net: Net) -> dict[str, torch.Tensor]:
    return {w.name: torch.randperm(w.units) for w in widths_in(net)}


def test_a_padded_shortcut_carries_the_channels_of_the_stage_before() -> None:
    """He et al. 2016, option A: of 64 channels 16 are the first stage's and 16 the second's."""
    found = {w.name: (w.units, len(w.made_by)) for w in widths_in(made(cifar_resnet20))}
    assert found == {"conv1": (16, 10), "layer2.0.conv2": (16, 6), "layer3.0.conv2": (32, 3)}


def test_hidden_values_of_a_transformer_are_one_width() -> None:
    (width,) = widths_in(made(Reader))
    assert (width.name, width.units) == ("words", 16)
    assert [t.layer for t in width.made_by] == [
        "words", "layers.0.out", "layers.0.down", "layers.1.out", "layers.1.down",
    ]  # fmt: skip
    assert len(width.taken_by) == 2 * 4 + 1


def test_what_the_network_answers_with_stays() -> None:
    net = encoder_net()
    assert widths_in(net) == ()
    result = run(Slim(0.5), net, context(net, texts()))
    assert result.model is net
    assert "nothing is removed" in result.notes[0].reason


@pytest.mark.parametrize("kind", [cifar_resnet20, Small, Flat])
def test_what_is_left_are_the_originals_own_values(kind: Callable[[], nn.Module]) -> None:
    """As if all that takes a channel gave it no weight: every value between blocks is the same."""
    net = made(kind)
    orders = orders_at_random(net)
    masked = copied(net.original)
    stay = {width: max(1, width.units * 5 // 8) for width in widths_in(net)}
    assert stay
    for width, units in stay.items():
        for taken in width.taken_by:
            for unit in orders[width.name][: width.units - units].tolist():
                with torch.no_grad():
                    masked.get_submodule(taken.layer).weight[:, list(taken.channels[unit])] = 0
    small = slimmed(net, stay, orders)
    x = torch.randn(3, *example_of(net)[0].shape[1:])
    own, its = Walk(small.module, [(x,)]), Walk(masked, [(x,)])
    for block in net.cut.blocks:
        name = block.span.exit
        (found,), (wanted,) = own.at(name), small.restricted(name, its.at(name))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    (answer,), (whole,) = own.answers()[0], its.answers()[0]
    torch.testing.assert_close(answer, whole, rtol=1e-4, atol=1e-4)
    assert small.stream
    count = [sum(p.numel() for p in m.parameters()) for m in (net.original, small.module)]
    assert count[1] < 0.8 * count[0]


def redundant() -> Net:
    """Half of what flows between the blocks is twice what the other half is."""
    net = residual_net()
    with torch.no_grad():
        for name in ("stem", "one.c", "two.c"):
            layer = net.original.get_submodule(name)
            layer.weight[6:], layer.bias[6:] = 2 * layer.weight[:6], 2 * layer.bias[:6]
    return net


def error(net: Net, fresh: tuple[torch.Tensor, ...]) -> float:
    with torch.no_grad():
        wanted, found = net.original(*fresh), net.module(*fresh)
    return float((found - wanted).square().mean() / wanted.square().mean())


def test_what_others_say_is_given_up_without_loss() -> None:
    net, data = redundant(), pictures()
    small = run(Slim(channels={"stem": 6}), net, context(net, data)).model
    found = repaired(small, data).model
    fresh = pictures(1, 8, seed=7)[0]
    assert error(small, fresh) > 0.01
    assert error(found, fresh) < 1e-4
    assert found.module.get_submodule("two.a").weight.shape == (16, 6, 1, 1)
    assert found.module.get_submodule("head").weight.shape == (4, 6)
    assert len(net.original.get_submodule("stem").weight) == 12, "the original stays"


def ids(batches: int = 8, seed: int = 1) -> Batches:
    random = torch.Generator().manual_seed(seed)
    return tuple((torch.randint(20, (16, 9), generator=random),) for _ in range(batches))


@pytest.mark.parametrize("kind", ["bottlenecks", "reader"])
def test_a_repaired_network_is_nearer_to_the_original(kind: str) -> None:
    net = residual_net() if kind == "bottlenecks" else made(Reader)
    data = pictures(12) if kind == "bottlenecks" else ids()
    ctx = context(net, data)
    small = run(Slim(0.25), net, ctx).model
    fresh = (pictures if kind == "bottlenecks" else ids)(1, seed=9)[0]
    before, after = error(small, fresh), error(run(Repair(), small, ctx).model, fresh)
    learned = error(run(Repair(steps=40), small, ctx).model, fresh)
    assert after < 0.8 * before
    assert learned < 0.9 * before


NARROW, FACTOR, DROP = Narrow(0.25), Factor(0.4), DropBlocks(("one",))


@pytest.mark.parametrize(
    "passes",
    [
        (Slim(0.25), NARROW, FACTOR, DROP),
        (NARROW, Slim(0.25), FACTOR),
        (NARROW, FACTOR, DROP, Slim(0.25)),
        (DROP, Slim(0.25), Slim(0.5)),
        (Slim(0.5), DropBlocks(("one",), bridge=False)),
    ],
    ids=lambda passes: "-".join(each.name for each in passes),
)
def test_it_goes_together_with_other_changes(
    passes: tuple[Pass[Net, Net], ...], tmp_path: Path
) -> None:
    net, data = residual_net(), pictures(16)
    ctx = context(net, data, tmp_path)
    changed = run(Pipeline(passes), net, ctx).model
    found = run(Repair(), changed, ctx).model
    fresh = pictures(1, 16, seed=9)[0]
    assert error(found, fresh) < error(changed, fresh)
    left = len(found.module.get_submodule("stem").weight)
    assert left == (6 if any(step == Slim(0.5) for step in passes) else 9)
    assert {len(kept.channels) for kept in found.stream.values()} == {left}


def test_it_learns_what_the_original_gives_between_blocks(tmp_path: Path) -> None:
    net, data = residual_net(), pictures(16)
    ctx = context(net, data, tmp_path)
    small = run(Slim(0.25), net, ctx).model
    taught = run(Distill(steps=60, batch=16, rate=1e-2), small, ctx)
    assert taught.changed
    fresh = pictures(1, 32, seed=9)[0]
    assert error(taught.model, fresh) < 0.5 * error(small, fresh)


def test_channels_are_given_up_by_name_and_in_the_same_order(tmp_path: Path) -> None:
    net, data = residual_net(), pictures()
    ctx = replace(context(net, data), shelf=tmp_path)
    one = run(Slim(channels={"stem": 5}), net, ctx).model
    other = run(Slim(channels={"stem": 5}), net, context(net, data)).model
    assert [file.name for file in tmp_path.iterdir()] == ["stream-orders.npz"]
    for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(a, b)
    orders = stream_orders(net, widths_in(net), ctx)
    kept = one.stream[net.cut.blocks[0].span.exit]
    assert kept.channels.tolist() == sorted(orders["stem"][7:].tolist())
    assert not run(Slim(channels={"stem": 12}), net, ctx).changed


def test_options_are_checked() -> None:
    for wrong in ({}, {"share": 1.0}, {"share": 0.5, "channels": {"a": 1}}, {"channels": {"a": 0}}):
        with pytest.raises(OptionError, match="nothing slimmer"):
            Slim(**wrong)  # type: ignore[arg-type]
    net = residual_net()
    with pytest.raises(RequirementError, match=r"no width one\.a of"):
        run(Slim(channels={"one.a": 3}), net, context(net, pictures()))


def test_it_survives_as_a_step() -> None:
    for step in (Slim(0.25), Slim(channels={"stem": 8})):
        read = msgspec.json.decode(msgspec.json.encode(step_of(step)), type=Step)
        assert pass_of(read) == step

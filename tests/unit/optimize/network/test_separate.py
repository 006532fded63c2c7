"""Convolutions as kernels over single channels with a 1x1 behind them, against the convolutions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from surgery_nets import context, pictures, residual_net
from torch import fx, nn

from whet.core.passes import Pipeline, run
from whet.core.recipe import Step
from whet.errors import OptionError, RequirementError
from whet.optimize.build import pass_of, step_of
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.factor import Factor
from whet.optimize.network.fitting.products import Sums
from whet.optimize.network.fitting.separable import most_multiplier, separated
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.repair import Repair, changed_layers
from whet.optimize.network.separate import Separate, convolutions_in
from whet.optimize.network.structure.net import Net
from whet.optimize.network.structure.walk import Walk

Make = Callable[[], nn.Module]

LAYERS: dict[str, tuple[Make, tuple[int, ...]]] = {
    "3x3": (lambda: nn.Conv2d(4, 9, 3), (6, 4, 9, 9)),
    "with steps, padding and gaps": (
        lambda: nn.Conv2d(4, 9, 3, 2, padding=2, dilation=2, padding_mode="reflect"),
        (6, 4, 11, 11),
    ),
    "as large as it was": (lambda: nn.Conv2d(4, 9, (3, 5), padding="same"), (6, 4, 8, 7)),
    "by groups": (lambda: nn.Conv2d(6, 16, 3, padding=1, groups=2), (6, 6, 8, 8)),
    "in one dimension": (lambda: nn.Conv1d(5, 12, 5, stride=3), (6, 5, 40)),
}


def pair(layer: nn.Module, x: torch.Tensor, multiplier: int) -> tuple[nn.Module, nn.Module]:
    with torch.no_grad():
        sums = Sums(layer, 0)
        sums.see(x, layer(x))
        return separated(layer, sums.whole(), multiplier)


def inputs(shape: tuple[int, ...], seed: int = 1) -> torch.Tensor:
    """Neighbours and channels go together, as they do in pictures."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=random)
    mix = torch.randn(shape[1], shape[1], generator=random)
    return torch.einsum("nc...,cd->nd...", x + x.roll(1, -1), mix) + 0.5


@pytest.mark.parametrize("kind", LAYERS)
def test_as_many_kernels_as_places_give_what_the_layer_gives(kind: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer, x = make(), inputs(shape)
    first, second = pair(layer, x, layer.weight[0, 0].numel())
    with torch.no_grad():
        torch.testing.assert_close(second(first(x)), layer(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("multiplier", [1, 2])
def test_what_is_separable_is_found(kind: str, multiplier: int) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer, x = make(), inputs(shape)
    with torch.no_grad():
        each = layer.weight.flatten(2)
        mixing = torch.randn(*each.shape[:2], multiplier)
        kernels = torch.randn(layer.groups, 1, each.shape[1], multiplier, each.shape[2])
        own = mixing.unflatten(0, (layer.groups, -1))[..., None] * kernels
        layer.weight.copy_(own.sum(3).reshape(layer.weight.shape))
        first, second = pair(layer, x, multiplier)
        torch.testing.assert_close(second(first(x)), layer(x), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_pair_multiplies_less_up_to_the_most_and_no_further(kind: str) -> None:
    make, shape = LAYERS[kind]
    layer = make()

    def multiplies(multiplier: int) -> int:
        return sum(e.weight.numel() for e in pair(layer, inputs(shape), multiplier))

    most = most_multiplier(layer)
    assert most >= 1
    assert multiplies(most) < layer.weight.numel() <= multiplies(most + 1)


def test_layers_that_can_only_lose_have_none() -> None:
    none = (
        nn.Conv2d(8, 8, 1),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.ConvTranspose2d(8, 8, 3),
        nn.Linear(8, 8),
    )
    assert [most_multiplier(layer) for layer in none] == [0, 0, 0, 0]


def lost(layer: nn.Module, own: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> float:
    with torch.no_grad():
        wanted = layer(x)
        return float((own(x) - wanted).square().mean() / wanted.square().mean())


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(2, 5), st.integers(6, 12))
@settings(deadline=None, max_examples=25)
def test_less_is_lost_than_by_the_plain_decomposition_of_each_channel(
    seed: int, multiplier: int, channels: int, tall: int
) -> None:
    torch.manual_seed(seed)
    layer = nn.Conv2d(channels, tall, 3).requires_grad_(False)
    x = inputs((8, channels, 9, 9), seed)  # at most 64 places of each are looked at: all
    first, second = pair(layer, x, multiplier)
    left, scale, right = torch.linalg.svd(layer.weight.flatten(2).movedim(1, 0))
    few = (left[..., :multiplier] * scale[:, None, :multiplier]) @ right[:, :multiplier]
    plain = nn.Conv2d(channels, tall, 3).requires_grad_(False)
    plain.weight.copy_(few.movedim(0, 1).reshape(plain.weight.shape))
    plain.bias.copy_(layer.bias)
    assert lost(layer, lambda v: second(first(v)), x) <= lost(layer, plain, x) * 1.001 + 1e-8


def off(net: Net) -> float:
    fresh = pictures(1, 32, 9)[0]
    with torch.no_grad():
        wanted, found = net.original(*fresh), net.module(*fresh)
    return float((found - wanted).square().mean() / wanted.square().mean())


def test_separated_and_repaired_is_nearer_than_separated_alone(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(12, 16), tmp_path)
    small = run(Separate(multiplier=1), net, ctx).model
    found = run(Repair(), small, ctx).model
    assert dict(small.pairs) == {f"{n}_each": n for n in ("stem", "one.b", "two.b")}
    assert 0 < off(found) < off(small)
    count = [sum(p.numel() for p in m.parameters()) for m in (net.original, found.module)]
    assert count[1] < 0.7 * count[0]
    kernels = [m.module.get_submodule("two.b_each").weight for m in (small, found)]
    assert torch.equal(*kernels), "they stay; what mixes them is fitted"
    more = run(Pipeline((Separate(multiplier=3), Repair())), net, ctx).model
    assert off(more) < off(found)


def test_a_layer_after_a_change_is_separated_by_what_the_original_answers() -> None:
    """So it makes up for what was changed before it."""
    net = residual_net()
    ctx = context(net, pictures(12, 16))
    changed = run(DropBlocks(("one",), bridge=False), net, ctx).model
    found = run(Separate(layers={"two.b": 5}), changed, ctx).model

    def given(module: fx.GraphModule) -> torch.Tensor:
        (node,) = module.graph.find_nodes(op="call_module", target="two.b")
        return torch.cat(Walk(module, pictures(12, 16)).at(node.name))

    wanted, before, after = (given(m) for m in (net.original, changed.module, found.module))
    assert (after - wanted).square().mean() < (before - wanted).square().mean()


@pytest.mark.parametrize(
    ("multiplier", "turned"), [(1, False), (3, False), (1, True)], ids=["one", "three", "turned"]
)
def test_narrower_layers_are_separated_and_the_other_way_round(
    multiplier: int, turned: bool, tmp_path: Path
) -> None:
    net = residual_net(copies=True)
    ctx = context(net, pictures(12, 16), tmp_path)
    steps = [Narrow(units={"one.a": 8, "one.b": 8}), Separate(layers={"one.b": multiplier})]
    found = run(Pipeline(tuple(reversed(steps) if turned else steps)), net, ctx).model
    each, mixing = (found.module.get_submodule(n) for n in ("one.b_each", "one.b"))
    wide = 8 * multiplier
    assert (each.weight.shape, mixing.weight.shape) == ((wide, 1, 3, 3), (8, wide, 1, 1))
    assert changed_layers(found, net.block("one")) == ("one.b_each", "one.b", "one.c")
    mended = run(Repair(), found, ctx).model
    assert off(mended) < off(found)


def test_widths_stay_where_several_kernels_look_at_each_channel(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    found = run(Separate(layers={"one.b": 3}), net, ctx).model
    with pytest.raises(RequirementError, match=r"'one\.b_each' has several kernels"):
        run(Narrow(units={"one.a": 8}), found, ctx)
    narrow = run(Narrow(0.5), found, ctx)
    assert [note.where for note in narrow.notes] == ["one.a"]
    assert set(narrow.model.kept) == {"one.b", "two.a", "two.b"}


def test_a_separated_block_can_still_be_left_out(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    passes = (Separate(multiplier=2), DropBlocks(("one",)), Factor(ranks={"two.a": 4}), Repair())
    found = run(Pipeline(passes), net, ctx).model
    assert not [n for n in found.module.graph.nodes if str(n.target).startswith("one.")]
    assert found.module(*pictures(1)[0]).shape == (8, 4)


def test_what_stays_whole_is_noted_with_its_reason() -> None:
    net = residual_net()
    ctx = context(net, pictures())
    layers, _ = convolutions_in(net)
    assert layers == {"stem": 5, "one.b": 5, "two.b": 5}
    again = run(Separate(multiplier=1), run(Separate(layers={"one.b": 1}), net, ctx).model, ctx)
    said = {note.where: note.reason for note in again.notes}
    assert "second of a pair" in said["one.b"]
    assert "multiply as often" in said["one.a"]
    assert "no convolution" in said["head"]
    assert "one.b_each" not in said
    assert run(Separate(multiplier=6), net, ctx).model is net


def test_options_are_checked() -> None:
    wrongs = (
        {},
        {"multiplier": -1},
        {"multiplier": 1, "layers": {"a": 1}},
        {"layers": {"a": 0}},
    )
    for wrong in wrongs:
        with pytest.raises(OptionError, match="separates nothing"):
            Separate(**wrong)  # type: ignore[arg-type]
    net = residual_net()
    ctx = context(net, pictures())
    with pytest.raises(RequirementError, match=r"no convolution of that name"):
        run(Separate(layers={"nowhere": 1}), net, ctx)
    with pytest.raises(RequirementError, match=r"'one\.a' can't be separated"):
        run(Separate(layers={"one.a": 1}), net, ctx)
    with pytest.raises(RequirementError, match="multiply as often") as refused:
        run(Separate(layers={"one.b": 6}), net, ctx)
    assert "at most 5" in str(refused.value.remedy)
    with pytest.raises(RequirementError, match="no samples"):
        run(Separate(multiplier=1), net, type(ctx)(ctx.workdir, ctx.reference))


def test_it_survives_as_a_step() -> None:
    for step in (Separate(multiplier=2), Separate(layers={"one.b": 3})):
        read = msgspec.json.decode(msgspec.json.encode(step_of(step)), type=Step)
        assert pass_of(read) == step

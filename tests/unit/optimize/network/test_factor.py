from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from surgery_nets import context, encoder_net, pictures, residual_net, texts
from torch import nn

from whet.core.passes import Pipeline, run
from whet.core.recipe import Step
from whet.errors import OptionError, RequirementError
from whet.optimize.build import pass_of, step_of
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.factor import Factor, factored, layers_in, spreads_of
from whet.optimize.network.fitting.low_rank import before, full_rank, most_rank, paired
from whet.optimize.network.fitting.products import Spread
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.repair import Repair, changed_layers
from whet.optimize.network.structure.net import Net


def off(net: Net, seed: int = 9) -> float:
    """Squared distance of the answers to fresh rows, as a share of the original's."""
    fresh = texts(1, 16)[0] if "ids" in str(net.signature) else pictures(1, 32, seed)[0]
    with torch.no_grad():
        wanted, found = net.original(*fresh), net.module(*fresh)
    return float((found - wanted).square().mean() / wanted.square().mean())


def factors(layer: nn.Module, x: torch.Tensor, rank: int) -> tuple[nn.Module, nn.Module]:
    with torch.no_grad():
        spread = Spread(layer, 0)
        spread.see(layer(x))
        return paired(layer, spread, rank)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(9, 7), (40, 9)),
    "without a bias": (lambda: nn.Linear(9, 7, bias=False), (6, 8, 9)),
    "1x1": (lambda: nn.Conv2d(9, 7, 1), (4, 9, 5, 5)),
    "3x3": (
        lambda: nn.Conv2d(4, 7, 3, stride=2, padding=1, padding_mode="reflect", bias=False),
        (4, 4, 8, 8),
    ),
    "in one dimension": (lambda: nn.Conv1d(4, 7, 3, dilation=2, padding=2), (4, 4, 20)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_full_rank_gives_what_the_layer_gives(kind: str) -> None:
    torch.manual_seed(0)
    make, shape = LAYERS[kind]
    layer, x = make(), torch.randn(shape)
    first, second = factors(layer, x, full_rank(layer))
    with torch.no_grad():
        torch.testing.assert_close(second(first(x)), layer(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_pair_multiplies_less_up_to_the_most_rank_and_no_further(kind: str) -> None:
    layer = LAYERS[kind][0]()

    def multiplies(rank: int) -> int:
        return sum(each.weight.numel() for each in factors(layer, torch.randn(shape), rank))

    shape, most = LAYERS[kind][1], most_rank(layer)
    assert multiplies(most) < layer.weight.numel() <= multiplies(most + 1)


@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 12), st.integers(2, 12))
@settings(deadline=None, max_examples=40)
def test_answers_are_no_further_than_by_the_plain_decomposition(
    seed: int, rank: int, wide: int, tall: int
) -> None:
    """Of all layers of that rank none is nearer on these samples; plain SVD's is one of them."""
    torch.manual_seed(seed)
    layer = nn.Linear(wide, tall).requires_grad_(False)
    x = torch.randn(200, wide) @ torch.randn(wide, wide) + torch.randn(wide)
    rank = min(rank, full_rank(layer))
    first, second = factors(layer, x, rank)
    left, scale, right = torch.linalg.svd(layer.weight.double(), full_matrices=False)
    plain = (left[:, :rank] * scale[:rank]) @ right[:rank]
    wanted = layer(x).double()
    own = (second(first(x)).double() - wanted).square().sum()
    other = (x.double() @ plain.T + layer.bias.double() - wanted).square().sum()
    assert own <= other * (1 + 1e-5) + 1e-6 * wanted.square().sum()


def test_what_a_pair_has_to_take_is_told_from_what_it_should_answer() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(6, 8, 3).requires_grad_(False), torch.randn(4, 6, 9, 9)
    first, second = factors(layer, x, 3)
    torch.testing.assert_close(before(second, layer(x)), first(x), atol=1e-4, rtol=1e-3)


def low_rank_net(rank: int) -> Net:
    """Two bottlenecks whose layers have a low rank indeed."""
    net = residual_net()
    torch.manual_seed(3)
    with torch.no_grad():
        for block in (net.module.one, net.module.two):
            for name in ("a", "b", "c"):
                weight = getattr(block, name).weight
                flat = weight.flatten(1)
                few = torch.randn(len(flat), rank) @ torch.randn(rank, flat.shape[1])
                weight.copy_((few / few.std() * flat.std()).reshape(weight.shape))
    return net


def test_a_low_rank_is_found_without_loss() -> None:
    net = low_rank_net(4)
    ctx = context(net, pictures())
    layers, _ = layers_in(net)
    ranks = {name: 4 for name in layers if "." in name}
    assert len(ranks) == 6
    found = run(Factor(ranks=ranks), net, ctx)
    assert found.changed
    assert off(found.model) < 1e-4
    assert off(run(Repair(), found.model, ctx).model) < 1e-4
    count = [sum(p.numel() for p in m.parameters()) for m in (net.original, found.model.module)]
    assert count[1] < 0.8 * count[0]


@pytest.mark.parametrize("make", [residual_net, encoder_net])
def test_fitted_pairs_are_nearer_to_the_original(make: Callable[[], Net]) -> None:
    net = make()
    ctx = context(net, pictures(12, 16) if make is residual_net else texts(12))
    small = run(Factor(0.6), net, ctx).model
    found = run(Repair(), small, ctx).model
    assert len(small.pairs) >= 4
    assert 0 < off(found) < 0.95 * off(small)
    count = [sum(p.numel() for p in m.parameters()) for m in (net.original, found.module)]
    assert count[1] < count[0]


def test_a_first_layer_is_fitted_once_what_it_takes_was_changed() -> None:
    net, data = residual_net(), pictures(12, 16)
    ctx = context(net, data)
    found = run(Factor(ranks={"two.a": 3}), net, ctx).model
    alone = run(Repair(), found, ctx).model
    later = run(Repair(), run(DropBlocks(("one",), bridge=False), found, ctx).model, ctx).model
    first = [m.module.get_submodule("two.a_low").weight for m in (found, alone, later)]
    assert torch.equal(first[0], first[1])
    assert not torch.allclose(first[0], first[2])


@pytest.mark.parametrize("turned", [False, True], ids=["narrow first", "factor first"])
def test_narrower_layers_are_factored_and_the_other_way_round(turned: bool, tmp_path: Path) -> None:
    net = residual_net(copies=True)
    ctx = context(net, pictures(12, 16), tmp_path)
    steps = [Narrow(units={"one.a": 8, "one.b": 8}), Factor(ranks={"one.b": 6, "two.b": 6})]
    found = run(Pipeline(tuple(reversed(steps) if turned else steps)), net, ctx).model
    second, low = (found.module.get_submodule(n) for n in ("one.b", "one.b_low"))
    assert (low.weight.shape, second.weight.shape) == ((6, 8, 3, 3), (8, 6, 1, 1))
    assert len(found.kept["one.b"]) == 8
    assert changed_layers(found, net.block("one")) == ("one.b_low", "one.b", "one.c")
    mended = run(Repair(), found, ctx).model
    assert off(mended) < 0.5 * off(found)
    # Half of the channels say nothing new: what is lost is what the ranks lose.
    only = run(Pipeline((steps[1], Repair())), net, ctx).model
    assert off(mended) < 1.5 * off(only) + 1e-4


def test_a_factored_block_can_still_be_left_out(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    found = run(Pipeline((Factor(0.6), DropBlocks(("one",)), Repair())), net, ctx).model
    assert not [n for n in found.module.graph.nodes if str(n.target).startswith("one.")]
    assert found.module(*pictures(1)[0]).shape == (8, 4)


def test_what_can_not_be_factored_is_noted_with_its_reason() -> None:
    net = residual_net()
    ctx = context(net, pictures())
    again = run(Factor(0.4), run(Factor(ranks={"one.b": 4}), net, ctx).model, ctx)
    said = {note.where: note.reason for note in again.notes}
    assert "second of a pair" in said["one.b"]
    assert "multiply as often" in said["two.a"], "12 x 16 at rank 7 of 12"
    assert "one.b_low" not in said
    assert run(Factor(0.05), net, ctx).model is net


def test_options_are_checked() -> None:
    wrongs = (
        {},
        {"share": 1.0},
        {"share": -0.1},
        {"share": 0.5, "ranks": {"a": 1}},
        {"ranks": {"a": 0}},
        {"ranks": {"a": -3, "b": 2}},
    )
    for wrong in wrongs:
        with pytest.raises(OptionError, match="factors nothing"):
            Factor(**wrong)  # type: ignore[arg-type]
    net = residual_net()
    ctx = context(net, pictures())
    with pytest.raises(RequirementError, match=r"no linear layer"):
        run(Factor(ranks={"nowhere": 3}), net, ctx)
    with pytest.raises(RequirementError, match=r"'one\.na' can't be factored"):
        run(Factor(ranks={"one.na": 3}), net, ctx)
    with pytest.raises(RequirementError, match="multiply as often") as refused:
        run(Factor(ranks={"one.a": 7}), net, ctx)
    assert "at most 6" in str(refused.value.remedy)
    with pytest.raises(RequirementError, match="no samples"):
        run(Factor(0.5), net, type(ctx)(ctx.workdir, ctx.reference))
    with pytest.raises(OptionError):
        pass_of(Step("factor", {"ranks": {"one.a": "many"}}))


def test_the_given_network_stays_as_it_is() -> None:
    net = residual_net()
    ctx = context(net, pictures())
    layers, _ = layers_in(net)
    factored(net, dict.fromkeys(layers, 1), spreads_of(net, layers, ctx))
    assert off(net) == 0.0
    assert not net.pairs


def test_it_survives_as_a_step() -> None:
    for step in (Factor(0.25), Factor(ranks={"one.a": 4})):
        read = msgspec.json.decode(msgspec.json.encode(step_of(step)), type=Step)
        assert pass_of(read) == step

"""Weights made 0: where the zeros lie, what they cost, and that nothing fills them again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from surgery_nets import context, encoder_net, pictures, residual_net, texts

from whet.core.context import Context
from whet.core.passes import Pipeline, run
from whet.core.recipe import Step
from whet.errors import OptionError, RequirementError
from whet.optimize.build import pass_of, step_of
from whet.optimize.graph.quantize.feedback import rounded
from whet.optimize.network.distill import Distill
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.factor import Factor
from whet.optimize.network.fitting.sparse import pruned
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.repair import Repair
from whet.optimize.network.separate import Separate
from whet.optimize.network.sparsify import Sparsify
from whet.optimize.network.structure.net import Net
from whet.optimize.network.structure.pattern import Pattern, follows, spared

Case = tuple[torch.Tensor, torch.Tensor]


def correlated(seed: int, wide: int, tall: int) -> Case:
    torch.manual_seed(seed)
    x = torch.randn(400, wide) @ torch.randn(wide, wide)
    return x.double(), torch.randn(wide, tall).double()


def by_magnitude(weights: torch.Tensor, pattern: Pattern, share: float) -> torch.Tensor:
    found = weights.clone()
    if pattern is Pattern.ANY:
        count = round(share * found.numel())
        found.flatten()[found.abs().flatten().argsort()[:count]] = 0
        return found
    fours = found.T.unflatten(1, (-1, 4))
    return fours.scatter(2, fours.abs().argsort(2)[..., :2], 0).flatten(1).T


@given(
    st.integers(0, 10_000),
    st.sampled_from([64, 136]),
    st.sampled_from([(Pattern.ANY, 0.5), (Pattern.ANY, 0.8), (Pattern.TWO_OF_FOUR, 0.0)]),
)
@settings(deadline=None, max_examples=25)
def test_others_make_up_for_what_goes(seed: int, wide: int, how: tuple[Pattern, float]) -> None:
    x, weights = correlated(seed, wide, 16)
    pattern, share = how
    found = pruned(weights, x.T @ x, pattern, share, wide)
    plain = by_magnitude(weights, pattern, share)
    assert float((found == 0).double().mean()) == pytest.approx(share or 0.5, abs=0.02)
    assert follows(found.T, pattern)
    lost = [float((x @ (each - weights)).square().sum()) for each in (found, plain)]
    assert lost[0] < 0.95 * lost[1]


def test_a_bias_stays_and_makes_up_for_means() -> None:
    x, weights = correlated(3, 8, 6)
    x[:, -1] = 1  # what a bias takes
    x[:, :7] += 5
    found = pruned(weights, x.T @ x, Pattern.ANY, 0.5, 7)
    assert bool((found[-1] != 0).all())
    off = x @ (found - weights)
    assert float(off.mean(0).abs().max()) < 0.1 * float((x[:, :7] @ weights[:7]).std())


def test_inputs_that_say_the_same_cost_nothing() -> None:
    x, weights = correlated(4, 8, 6)
    x = x.repeat_interleave(2, 1)
    double = torch.cat([weights, weights.flip(0)])
    found = pruned(double, x.T @ x, Pattern.TWO_OF_FOUR, 0.0, 16)
    lost, all_ = (float((x @ w).square().sum()) for w in (found - double, double))
    assert lost < 2e-2 * all_


def test_fours_are_channels_at_one_place_of_a_kernel() -> None:
    weight = torch.ones(2, 8, 3, 3)
    weight[:, ::2] = 0
    assert follows(weight, Pattern.TWO_OF_FOUR)
    assert not follows(torch.cat([weight[:, ::2], weight[:, 1::2]], 1), Pattern.TWO_OF_FOUR)
    assert spared(torch.ones(4, 6, 3, 3), Pattern.TWO_OF_FOUR) is not None
    assert spared(torch.ones(4, 6, 3, 3), Pattern.ANY) is None
    assert spared(torch.ones(4, 1, 1, 1), Pattern.ANY) is not None


def off(net: Net, seed: int = 9) -> float:
    fresh = texts(1, 16)[0] if "ids" in str(net.signature) else pictures(1, 32, seed)[0]
    with torch.no_grad():
        wanted, found = net.original(*fresh), net.module(*fresh)
    return float((found - wanted).square().mean() / wanted.square().mean())


def zeros(net: Net) -> dict[str, torch.Tensor]:
    return {name: net.module.get_submodule(name).weight == 0 for name in net.sparse}


@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_a_network_is_nearer_than_by_magnitude(kind: str, tmp_path: Path) -> None:
    net = residual_net() if kind == "pictures" else encoder_net()
    ctx = context(net, pictures(12, 16) if kind == "pictures" else texts(12), tmp_path)
    found = run(Sparsify(0.5), net, ctx).model
    assert len(found.sparse) >= 8
    for name, gone in zeros(found).items():
        assert float(gone.float().mean()) == pytest.approx(0.5, abs=0.05), name
    plain = run(Sparsify(0.5), net, ctx).model
    with torch.no_grad():
        for name in plain.sparse:
            weight = plain.module.get_submodule(name).weight
            was = net.original.get_submodule(name)
            weight.copy_(by_magnitude(was.weight, Pattern.ANY, 0.5))
            if was.bias is not None:
                plain.module.get_submodule(name).bias.copy_(was.bias)
    assert 0 < off(found) < 0.7 * off(plain)
    assert off(net) == 0


def two_of_four(tmp_path: Path) -> tuple[Net, Context]:
    net = residual_net()
    ctx = context(net, pictures(12, 16), tmp_path)
    return run(Sparsify(pattern=Pattern.TWO_OF_FOUR), net, ctx).model, ctx


def test_no_later_pass_fills_the_zeros(tmp_path: Path) -> None:
    found, ctx = two_of_four(tmp_path)
    before = zeros(found)
    assert set(before) == {"one.a", "one.b", "one.c", "two.a", "two.b", "two.c", "head"}
    later = (Repair(steps=20), Distill(steps=8, batch=8))
    changed = run(Pipeline(later), found, ctx).model
    for name, gone in before.items():
        weight = changed.module.get_submodule(name).weight
        assert follows(weight, Pattern.TWO_OF_FOUR), name
        assert torch.equal(weight == 0, gone), name
        assert not torch.equal(weight, found.module.get_submodule(name).weight), name
    assert off(changed) < off(found)


def test_a_repair_scales_what_is_sparse(tmp_path: Path) -> None:
    found, ctx = two_of_four(tmp_path)
    torch.manual_seed(0)
    with torch.no_grad():
        layer = found.module.get_submodule("one.c")
        layer.weight *= torch.rand(12, 1, 1, 1) + 0.5
        layer.bias += 1
    mended = run(Repair(), found, ctx).model
    assert off(mended) < 0.1 * off(found)
    ratio = mended.module.get_submodule("one.c").weight / layer.weight
    for row in ratio:
        each = row[~row.isnan()]
        torch.testing.assert_close(each, each[:1].expand_as(each))


def test_sparse_layers_are_replaced_by_nothing_and_keep_their_inputs(tmp_path: Path) -> None:
    net = residual_net()
    ctx = context(net, pictures(), tmp_path)
    found = run(Sparsify(0.5, layers=("two.b", "two.c")), net, ctx).model
    for each in (Factor(0.6), Separate(multiplier=1), Narrow(0.5)):
        result = run(each, found, ctx)
        said = {note.where for note in result.notes if "sparse" in note.reason}
        assert said == ({"two.b", "two.c"} if each.name != "narrow" else {"two.a", "two.b"})
        assert all(torch.equal(zeros(result.model)[n], z) for n, z in zeros(found).items())
    with pytest.raises(RequirementError, match="is sparse"):
        run(Narrow(units={"two.a": 8}), found, ctx)
    gone = run(Pipeline((DropBlocks(("two",)), Repair())), found, ctx).model
    assert gone.module(*pictures(1)[0]).shape == (8, 4)
    again = run(Sparsify(0.8), found, ctx)
    assert {n.where for n in again.notes} == {"two.b", "two.c"}
    assert run(Sparsify(0.8), again.model, ctx).model is again.model
    fours = run(Sparsify(pattern=Pattern.TWO_OF_FOUR), found, ctx).model
    assert [n for n, p in fours.sparse.items() if p is Pattern.ANY] == ["two.b", "two.c"]
    assert fours.sparse["head"] is Pattern.TWO_OF_FOUR
    pair = run(Pipeline((Factor(ranks={"one.b": 4}), Sparsify(0.5), Repair())), net, ctx).model
    assert {"one.b", "one.a"} < set(pair.sparse)
    assert "one.b_low" not in pair.sparse
    thin = run(Pipeline((Narrow(0.5), Sparsify(0.5), Repair())), net, ctx).model
    assert off(thin) <= off(run(Pipeline((Narrow(0.5), Sparsify(0.5))), net, ctx).model)


def test_rounding_in_advance_leaves_zeros() -> None:
    x, weights = correlated(5, 24, 16)
    sparse = pruned(weights, x.T @ x, Pattern.TWO_OF_FOUR, 0.0, 24).T.numpy()
    found = rounded(sparse, (x.T @ x / len(x)).numpy())
    assert np.all(found[sparse == 0] == 0)
    assert not np.array_equal(found, sparse)


def test_options_are_checked() -> None:
    wrongs = ({}, {"share": 1.0}, {"share": -0.1}, {"share": 0.5, "pattern": Pattern.TWO_OF_FOUR})
    for wrong in wrongs:
        with pytest.raises(OptionError, match="isn't defined"):
            Sparsify(**wrong)  # type: ignore[arg-type]
    net = residual_net()
    ctx = context(net, pictures())
    with pytest.raises(RequirementError, match="told off in fours"):
        run(Sparsify(pattern=Pattern.TWO_OF_FOUR, layers=("stem",)), net, ctx)
    with pytest.raises(RequirementError, match="no linear layer"):
        run(Sparsify(0.5, layers=("nowhere",)), net, ctx)
    with pytest.raises(RequirementError, match="no samples"):
        run(Sparsify(0.5), net, type(ctx)(ctx.workdir, ctx.reference))


def test_it_survives_as_a_step() -> None:
    for step in (Sparsify(0.25, layers=("a",)), Sparsify(pattern=Pattern.TWO_OF_FOUR)):
        read = msgspec.json.decode(msgspec.json.encode(step_of(step)), type=Step)
        assert pass_of(read) == step

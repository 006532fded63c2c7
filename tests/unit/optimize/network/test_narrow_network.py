from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from surgery_nets import context, encoder_net, pictures, residual_net, texts

from whet.core.passes import run
from whet.core.recipe import Step
from whet.errors import OptionError, RequirementError
from whet.optimize.build import pass_of, step_of
from whet.optimize.network.narrow import Narrow, narrowed, orders_of, widths_in
from whet.optimize.network.repair import Repair, changed_layers, repaired


def test_widths_of_a_residual_network_are_those_within_its_blocks() -> None:
    found = {w.name: (w.block, w.units, w.unit) for w in widths_in(residual_net())}
    assert found == {name: (name[:3], 16, 1) for name in ("one.a", "one.b", "two.a", "two.b")}


def test_heads_of_an_attention_are_its_units() -> None:
    found = {w.name.rpartition("layer.")[2]: (w.units, w.unit) for w in widths_in(encoder_net())}
    assert found == {
        **{f"{i}.attention.self.query": (2, 8) for i in range(2)},
        **{f"{i}.intermediate.dense": (32, 1) for i in range(2)},
    }


def test_what_others_say_is_given_up_without_loss() -> None:
    net, data = residual_net(copies=True), pictures()
    widths = widths_in(net)
    orders = orders_of(net, widths, context(net, data))
    small = narrowed(net, dict.fromkeys(widths, 8), orders)
    found = repaired(small, data).model
    fresh = pictures(1, 8, seed=7)[0]
    with torch.no_grad():
        wanted, before, after = (m(*fresh) for m in (net.original, small.module, found.module))
    scale = wanted.square().mean()
    assert (before - wanted).square().mean() > 0.01 * scale
    assert (after - wanted).square().mean() < 1e-4 * scale
    assert found.module.get_submodule("one.b").weight.shape == (8, 8, 3, 3)
    assert len(net.original.get_submodule("one.b").weight) == 16, "the original stays"


@pytest.mark.parametrize("make", [residual_net, encoder_net])
def test_fitted_layers_are_nearer_to_the_original(make: object) -> None:
    net = make()  # type: ignore[operator]
    data = pictures() if make is residual_net else texts()
    small = run(Narrow(0.5), net, context(net, data)).model
    found = run(Repair(), small, context(net, data)).model
    fresh = pictures(1, 16, seed=9)[0] if make is residual_net else texts(1, 16)[0]
    with torch.no_grad():
        wanted, before, after = (m(*fresh) for m in (net.original, small.module, found.module))
    assert (after - wanted).square().mean() < 0.7 * (before - wanted).square().mean()
    count = [sum(p.numel() for p in m.parameters()) for m in (net.original, found.module)]
    assert count[1] < count[0]


def test_some_widths_are_made_narrower_by_name() -> None:
    net, data = encoder_net(), texts()
    head = next(w.name for w in widths_in(net) if w.unit == 8)
    found = run(Narrow(units={head: 1}), net, context(net, data)).model
    layer = found.module.get_submodule(head)
    assert layer.weight.shape == (8, 16)
    attention = next(b for b in net.cut.blocks if b.name.endswith("0.attention"))
    assert [n.rpartition(".")[0].rpartition(".")[2] for n in changed_layers(found, attention)] == [
        "output"
    ]
    with torch.no_grad():
        assert found.module(*data[0]).shape == net.original(*data[0]).shape


def test_the_same_seed_gives_the_same_network() -> None:
    net, data = residual_net(), pictures()
    one, other = (
        run(Repair(steps=5), run(Narrow(0.25), net, context(net, data)).model, context(net, data))
        for _ in range(2)
    )
    for a, b in zip(one.model.module.parameters(), other.model.module.parameters(), strict=True):
        assert torch.equal(a, b)


def test_options_are_checked() -> None:
    for wrong in ({}, {"share": 1.0}, {"share": -0.1}, {"share": 0.5, "units": {"a": 1}}):
        with pytest.raises(OptionError, match="narrows nothing"):
            Narrow(**wrong)
    net = residual_net()
    with pytest.raises(RequirementError, match=r"no width nowhere.*"):
        run(Narrow(units={"nowhere": 3}), net, context(net, pictures()))


def test_it_survives_as_a_step() -> None:
    for step in (Narrow(0.25), Narrow(units={"one.a": 8}), Repair(steps=3)):
        read = msgspec.json.decode(msgspec.json.encode(step_of(step)), type=Step)
        assert pass_of(read) == step


def test_nothing_to_narrow_changes_nothing() -> None:
    net = residual_net()
    result = run(Narrow(units={"one.a": 16}), net, context(net, pictures()))
    assert not result.changed
    assert result.model is net
    assert "nothing is removed" in result.notes[0].reason


def test_orders_are_kept_on_the_shelf_and_taken_from_there(tmp_path: Path) -> None:
    net, data = residual_net(), pictures()
    widths, ctx = widths_in(net), replace(context(net, data), shelf=tmp_path)
    first, again = (orders_of(net, widths, ctx) for _ in range(2))
    alone = orders_of(net, widths, context(net, data))
    assert [f.name for f in tmp_path.iterdir()] == ["orders.npz"]
    for name, order in first.items():
        assert torch.equal(order, again[name])
        assert torch.equal(order, alone[name])
    turned = {name: order.flip(0).numpy() for name, order in first.items()}
    np.savez(tmp_path / "orders.npz", **turned)
    assert all(torch.equal(o, first[n].flip(0)) for n, o in orders_of(net, widths, ctx).items())

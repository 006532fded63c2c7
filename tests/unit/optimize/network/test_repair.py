from __future__ import annotations

import copy

import pytest
import torch
from surgery_nets import context, pictures, residual_net
from torch import nn

from whet.core.passes import run
from whet.errors import OptionError, RequirementError
from whet.optimize.network.fitting.refit import refitted
from whet.optimize.network.learning.learn import Pair, learnt
from whet.optimize.network.narrow import Narrow
from whet.optimize.network.repair import Repair, changed_layers, repaired
from whet.optimize.network.structure.blocks import extracted
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.net import Net
from whet.optimize.network.structure.walk import Walk


def narrow() -> Net:
    net = residual_net()
    return run(Narrow(0.5), net, context(net, pictures())).model


def error(net: Net, seed: int = 5) -> float:
    fresh = pictures(1, 32, seed)[0]
    with torch.no_grad():
        wanted, found = net.original(*fresh), net.module(*fresh)
    return float((found - wanted).square().mean() / wanted.square().mean())


def test_layers_that_take_fewer_channels_are_those_to_repair() -> None:
    net = narrow()
    found = [changed_layers(net, block) for block in net.cut.blocks]
    assert found == [(), ("one.b", "one.c"), ("two.b", "two.c"), ()]


def test_steps_of_gradients_come_nearer_than_the_closed_form_alone() -> None:
    net, data = narrow(), pictures(24, 16)
    closed = repaired(net, data).model
    learned = repaired(net, data, steps=150).model
    alone = repaired(net, data, fit=False, steps=150).model
    assert error(learned) < error(closed) < error(net)
    assert error(alone) < error(net)


def test_the_second_block_makes_up_for_the_first() -> None:
    """Fitted on what it takes now, it is nearer than if it is fitted on what the original's takes."""
    net, data = narrow(), pictures(16, 16)
    together = repaired(net, data).model
    apart = copied(net.module)
    walk = Walk(net.original, data)
    for block in net.cut.blocks:
        names = changed_layers(net, block)
        if not names:
            continue
        inputs = list(zip(*[walk.at(n) for n in block.inputs], strict=True))
        fitted, _ = refitted(
            extracted(net.module, block),
            extracted(net.original, block),
            [(x, x) for x in inputs],
            names,
            kept=net.kept,
        )
        for name in names:
            apart.get_submodule(name).load_state_dict(fitted.get_submodule(name).state_dict())
    alone = Net(apart, net.original, net.cut, net.signature)
    assert error(together) < error(alone)


def test_what_was_not_changed_stays() -> None:
    net = residual_net()
    result = repaired(net, pictures())
    assert not result.changed
    for own, its in zip(result.model.module.parameters(), net.original.parameters(), strict=True):
        assert torch.equal(own, its)


def test_options_and_samples_are_checked() -> None:
    for wrong in ({"fit": False}, {"steps": -1}, {"rows": 0}):
        with pytest.raises(OptionError, match="repair nothing"):
            Repair(**wrong)  # type: ignore[arg-type]
    net = residual_net()
    empty = context(net, pictures())
    with pytest.raises(RequirementError, match="no samples"):
        run(Repair(), net, type(empty)(empty.workdir, empty.reference))


def test_learning_keeps_the_weights_that_do_best_on_what_it_does_not_learn_from() -> None:
    torch.manual_seed(0)
    part, wanted = nn.Linear(4, 3), nn.Linear(4, 3)
    inputs = [torch.randn(8, 4) for _ in range(16)]
    with torch.no_grad():
        pairs = [Pair((x,), (x,), wanted(x)) for x in inputs]
    before = copy.deepcopy(part.state_dict())
    learnt(part, pairs, steps=3000, seed=0)
    with torch.no_grad():
        fresh = torch.randn(64, 4)
        first = nn.Linear(4, 3)
        first.load_state_dict(before)
        off = [float((net(fresh) - wanted(fresh)).square().mean()) for net in (first, part)]
    assert off[1] < 0.3 * off[0]
    # Where nothing is better than what there is, it stays.
    with torch.no_grad():
        done = [Pair((x,), (x,), part(x)) for x in inputs]
    kept = copy.deepcopy(part.state_dict())
    learnt(part, done, steps=50, seed=0)
    for name, value in kept.items():
        torch.testing.assert_close(part.state_dict()[name], value)

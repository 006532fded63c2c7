from __future__ import annotations

import pytest
import torch
from surgery_nets import context, encoder_net, texts, under_surgery
from test_blocks import layered
from torch import nn
from torch.nn import functional

from whet.core.passes import run
from whet.core.spec import Signature, TensorSpec
from whet.errors import OptionError, RequirementError
from whet.optimize.network.drop import DropBlocks
from whet.optimize.network.repair import Repair
from whet.optimize.network.structure.net import Batches, Net


class Part(nn.Module):
    """A residual block without anything that bends."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(inside, 9, 1), nn.Conv2d(9, width, 1, stride)
        self.side = nn.Conv2d(inside, width, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x)) + self.side(x)


class Straight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 6, 3), Part(6, 6, 1), Part(6, 8, 2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.two(self.one(functional.relu(self.stem(x)))).mean((2, 3)))


def straight() -> Net:
    torch.manual_seed(0)
    module = layered(Straight(), torch.randn(2, 3, 11, 11))
    signature = Signature(
        (TensorSpec("x", "float32", ("batch", 3, 11, 11)),),
        (TensorSpec("y", "float32", ("batch", 4)),),
    )
    return under_surgery(module, signature)


def data() -> Batches:
    torch.manual_seed(1)
    return tuple((torch.randn(8, 3, 11, 11),) for _ in range(4))


def without(net: Net, batches: Batches, *blocks: str) -> Net:
    ctx = context(net, batches)
    return run(Repair(), run(DropBlocks(blocks), net, ctx).model, ctx).model


@pytest.mark.parametrize("blocks", [("one",), ("two",), ("one", "two")])
def test_what_is_linear_is_bridged_without_loss(blocks: tuple[str, ...]) -> None:
    net = straight()
    found = without(net, data(), *blocks).module
    fresh = torch.randn(5, 3, 11, 11)
    torch.testing.assert_close(found(fresh), net.original(fresh), atol=2e-3, rtol=1e-3)
    count = [sum(p.numel() for p in m.parameters()) for m in (found, net.original)]
    assert count[0] < count[1]


def test_a_part_of_a_transformer_is_bridged_better_than_left_out() -> None:
    net, batches = encoder_net(), texts()
    name = "bert.encoder.layer.1"
    found = without(net, batches, name)
    skipped = run(DropBlocks((name,), bridge=False), net, context(net, batches)).model
    fresh = texts(1, 16)[0]
    with torch.no_grad():
        wanted, left_out, bridge = (m(*fresh) for m in (net.original, skipped.module, found.module))
    assert (bridge - wanted).square().mean() < (left_out - wanted).square().mean()


def test_what_no_single_layer_makes_is_refused() -> None:
    net = straight()
    ctx = context(net, data())
    with pytest.raises(RequirementError, match="'two' takes"):
        run(DropBlocks(("two",), bridge=False), net, ctx)
    for name in ("stem", "head"):
        with pytest.raises(RequirementError, match=f"as '{name}' does"):
            run(DropBlocks((name,)), net, ctx)
    with pytest.raises(RequirementError, match="no block 'three'"):
        run(DropBlocks(("three",)), net, ctx)
    with pytest.raises(OptionError, match="No block"):
        DropBlocks(())

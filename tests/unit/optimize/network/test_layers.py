from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from whet.optimize.network.structure.layers import with_layers
from whet.optimize.quiet import quiet


class Many(nn.Module):
    """Every kind of layer that is put back, in-place operators and shared weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm, self.act = nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.plain = nn.BatchNorm2d(8, affine=False)
        self.same = nn.Conv2d(8, 8, 3, padding="same", groups=4)
        self.up = nn.ConvTranspose2d(8, 6, 3, stride=2, output_padding=1, groups=2, dilation=2)
        self.groups, self.drop = nn.GroupNorm(2, 6), nn.Dropout(0.5)
        self.line = nn.Conv1d(6, 6, 3, dilation=2)
        self.rows, self.tied = nn.LayerNorm(6), nn.Linear(6, 6, bias=False)
        self.table, self.head = nn.Embedding(10, 6, padding_idx=0), nn.Linear(6, 10)
        self.head.weight = self.table.weight
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        y = self.plain(self.act(self.norm(self.first(x))))
        y.add_(1.0)
        y = self.drop(self.groups(self.up(self.same(y)))).flatten(2)
        y = self.line(y).mean(2)
        y = self.tied(functional.gelu(self.tied(self.rows(y)))) * self.scale
        return self.head(y + self.table(ids).mean(1))


def trained(net: nn.Module) -> nn.Module:
    """With statistics and weights as after training, none of them the first value."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5) if "var" in name else tensor.normal_(0, 0.3)
    return net.eval()


def exported(*given: Any, **options: Any) -> torch.export.ExportedProgram:
    with quiet():
        return torch.export.export(*given, **options)


@pytest.fixture
def many() -> tuple[nn.Module, tuple[Any, ...], torch.export.ExportedProgram]:
    net, batch = trained(Many()), torch.export.Dim("batch", min=1, max=1000)
    given = (torch.randn(2, 3, 12, 12), torch.randint(0, 10, (2, 4)))
    return net, given, exported(net, given, dynamic_shapes=({0: batch}, {0: batch}))


def test_layers_come_back_by_their_names_and_answers_stay(many: Any) -> None:
    net, given, program = many
    found = with_layers(program)
    kinds = {
        n: type(m)
        for n, m in found.named_modules()
        if type(m).__module__.startswith("torch.nn.modules") and n
    }
    wanted = {n: type(m) for n, m in net.named_modules() if n and n not in ("act", "drop")}
    assert kinds.items() >= wanted.items()
    assert not [n for n in found.graph.nodes if str(n.target).endswith("_.Tensor")]
    torch.testing.assert_close(found(*given), net(*given))
    more = (torch.randn(5, 3, 12, 12), torch.randint(0, 10, (5, 4)))
    torch.testing.assert_close(found(*more), net(*more))


def test_weights_are_the_networks_own_and_shared_ones_stay_shared(many: Any) -> None:
    _, _, program = many
    found = with_layers(program)
    assert found.table.weight is found.head.weight
    assert not [n for n, t in found.state_dict().items() if t.is_meta]
    assert found.first.weight is program.state_dict["first.weight"]
    assert [n.target for n in found.graph.nodes if n.op == "call_module"].count("tied") == 2


def test_it_can_be_put_into_training(many: Any) -> None:
    _, given, program = many
    found = with_layers(program).train()
    before = found.norm.running_mean.clone()
    found(*given)
    assert not torch.equal(found.norm.running_mean, before)
    assert not found.eval().norm.training


def test_it_can_be_exported_again(many: Any) -> None:
    net, given, program = many
    found = with_layers(program)
    batch = torch.export.Dim("batch", min=1, max=1000)
    again = exported(found, given, dynamic_shapes=({0: batch}, {0: batch}))
    more = (torch.randn(5, 3, 12, 12), torch.randint(0, 10, (5, 4)))
    torch.testing.assert_close(again.module()(*more), net(*more))


def test_weights_that_are_computed_stay_with_their_operator() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.linear(x, self.inner.weight * 2, self.inner.bias)

    net, given = Scaled().eval(), (torch.randn(2, 4),)
    found = with_layers(exported(net, given))
    assert not [n for n in found.graph.nodes if n.op == "call_module"]
    torch.testing.assert_close(found(*given), net(*given))

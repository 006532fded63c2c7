from __future__ import annotations

import pytest
import torch
from torch import fx, nn
from torch.nn import functional

from whet.errors import RequirementError
from whet.optimize.network.fitting.refit import Inputs, refitted


def traced(net: nn.Module) -> fx.GraphModule:
    return fx.symbolic_trace(net.eval())


def samples(*batches: torch.Tensor) -> list[tuple[Inputs, Inputs]]:
    return [((batch,), (batch,)) for batch in batches]


class Pair(nn.Module):
    """Two convolutions; the first gives ``width`` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.second = nn.Conv2d(width, 5, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(functional.relu(self.first(x)))


def narrowed(wide: Pair, keep: torch.Tensor) -> Pair:
    small = Pair(len(keep))
    with torch.no_grad():
        small.first.weight.copy_(wide.first.weight[keep])
        small.first.bias.copy_(wide.first.bias[keep])
        small.second.weight.copy_(wide.second.weight[:, keep])
        small.second.bias.copy_(wide.second.bias)
    return small


def test_a_channel_that_says_nothing_new_costs_nothing() -> None:
    torch.manual_seed(0)
    wide = Pair(6)
    with torch.no_grad():  # relu(2 x) = 2 relu(x): the last is twice the third
        wide.first.weight[5], wide.first.bias[5] = 2 * wide.first.weight[2], 2 * wide.first.bias[2]
    small = traced(narrowed(wide, torch.arange(5)))
    data = [torch.randn(16, 3, 10, 10) for _ in range(4)]
    found, (fit,) = refitted(small, traced(wide), samples(*data), ["second"])
    fresh = torch.randn(8, 3, 10, 10)
    assert fit.layer == "second"
    assert fit.before > 0.05
    assert fit.after < 1e-6
    torch.testing.assert_close(found(fresh), wide(fresh), atol=2e-3, rtol=1e-3)
    assert not torch.allclose(small(fresh), wide(fresh), atol=0.05)


def test_weights_are_those_of_least_squares() -> None:
    torch.manual_seed(1)
    wide, keep = Pair(8), torch.tensor([0, 2, 3, 6])
    small, data = traced(narrowed(wide, keep)), torch.randn(64, 3, 6, 6)
    found, _ = refitted(small, traced(wide), samples(*data.split(16)), ["second"], ridge=0.0)
    with torch.no_grad():
        inside = functional.relu(found.first(data))
        patches = functional.unfold(inside, 3, padding=1, stride=2)
        rows = patches.movedim(1, 2).reshape(-1, patches.shape[1])
        rows = torch.cat([rows, torch.ones(len(rows), 1)], 1).double()
        wanted = wide(data).flatten(2).movedim(1, 2).reshape(-1, 5).double()
    best = torch.linalg.lstsq(rows, wanted).solution
    torch.testing.assert_close(found.second.bias.double(), best[-1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        found.second.weight.flatten(1).double(), best[:-1].T, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 4), (32, 6)),
        (nn.Linear(6, 4, bias=False), (8, 5, 6)),
        (nn.Conv1d(6, 4, 3, dilation=2), (8, 6, 12)),
        (nn.Conv2d(6, 6, 3, groups=6, padding="same"), (8, 6, 9, 9)),
        (nn.Conv2d(6, 4, (1, 3), stride=(2, 1), groups=2, bias=False), (16, 6, 9, 9)),
        (nn.Conv3d(2, 4, 2), (4, 2, 5, 5, 5)),
    ],
    ids=["linear", "sequence", "1d", "depthwise", "grouped", "3d"],
)
def test_every_kind_of_layer_finds_the_weights_that_made_the_answers(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(2)
    spoilt = traced(nn.Sequential(layer))
    with torch.no_grad():
        for parameter in spoilt.parameters():
            parameter.data = torch.randn_like(parameter)
    original = nn.Sequential(type(layer)(*arguments(layer)))
    data = [torch.randn(*shape) for _ in range(6)]
    found, (fit,) = refitted(spoilt, traced(original), samples(*data), ["0"], ridge=1e-9)
    assert fit.before > 0.1
    assert fit.after < 1e-6
    for name, wanted in original.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], wanted, atol=1e-3, rtol=1e-3)


def arguments(layer: nn.Module) -> tuple[object, ...]:
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features, layer.bias is not None
    return (
        *(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding),
        *(layer.dilation, layer.groups, layer.bias is not None),
    )


def test_layers_that_lost_channels_are_fitted_to_those_that_are_left() -> None:
    torch.manual_seed(3)
    wide, keep = Pair(6), torch.tensor([1, 4])
    small = traced(narrowed(wide, keep))
    with torch.no_grad():
        small.first.weight.normal_()
    data = [torch.randn(16, 3, 10, 10) for _ in range(3)]
    found, fits = refitted(
        small, traced(wide), samples(*data), ["first", "second"], kept={"first": keep}
    )
    torch.testing.assert_close(found.first.weight, wide.first.weight[keep], atol=1e-3, rtol=1e-3)
    assert [fit.layer for fit in fits] == ["first", "second"]
    assert all(fit.after <= fit.before for fit in fits)


def test_what_has_no_weights_to_fit_is_refused() -> None:
    net = traced(nn.Sequential(nn.BatchNorm1d(3)))
    with pytest.raises(RequirementError, match="BatchNorm1d"):
        refitted(net, net, samples(torch.randn(2, 3)), ["0"])

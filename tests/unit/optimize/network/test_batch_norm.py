from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from whet.errors import SamplesError
from whet.optimize.network.fitting.batch_norm import with_new_statistics, with_same_statistics
from whet.optimize.network.structure.modules import copied


def traced(net: nn.Module) -> fx.GraphModule:
    return fx.symbolic_trace(net.eval())


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.first = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.two, self.second = nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.two(torch.relu(self.first(self.one(x)))))


def changed(net: fx.GraphModule) -> fx.GraphModule:
    """Other weights, so that norms take other values."""
    found = copied(net)
    with torch.no_grad():
        for layer in (found.one, found.two):
            layer.weight.mul_(1 + torch.rand(len(layer.weight), 1, 1, 1))
            layer.bias += 0.5
    return found


def moments(net: fx.GraphModule, data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        answer = net(data).double()
    return answer.mean((0, 2, 3)), answer.var((0, 2, 3), correction=0)


@pytest.mark.parametrize("folded", [False, True], ids=["trained", "folded"])
def test_each_channel_answers_as_in_the_original(folded: bool) -> None:
    """Also where the norm holds no statistics of its input, as something was folded into it."""
    torch.manual_seed(4)
    net = traced(Normed())
    data = torch.randn(64, 2, 8, 8) * 3 + 1
    if not folded:  # what a training leaves
        for norm in (net.first, net.second):
            norm.momentum = None
            norm.train()
        with torch.no_grad():
            net(data)
        net.eval()
    other = changed(net)
    found = with_same_statistics(other, net, [(part,) for part in data.split(16)])
    for own, its, before in zip(*(moments(n, data) for n in (found, net, other)), strict=True):
        torch.testing.assert_close(own, its, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(before, its, atol=0.05)
    assert torch.equal(net.first.running_mean, net.first.running_mean)
    assert not any(m.training for m in found.modules())


def test_where_a_norm_holds_what_it_takes_it_is_estimated_anew() -> None:
    torch.manual_seed(4)
    net = traced(Normed())
    data = torch.randn(64, 2, 8, 8)
    net.first.momentum = None
    net.first.train()
    with torch.no_grad():
        net(data)
    net.eval()
    other = changed(net)
    found = with_same_statistics(other, net, [(part,) for part in data.split(16)])
    with torch.no_grad():
        inside = other.one(data)
    torch.testing.assert_close(
        found.first.running_mean, inside.mean((0, 2, 3)), atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(found.first.running_var, inside.var((0, 2, 3)), rtol=0.01, atol=0)


def test_a_channel_that_never_changes_keeps_its_scale() -> None:
    net = traced(nn.Sequential(nn.BatchNorm1d(3)))
    data = torch.randn(32, 3)
    data[:, 1] = 2
    found = with_same_statistics(net, net, [(data,)])
    torch.testing.assert_close(found(data), net(data))


def test_there_have_to_be_samples() -> None:
    net = traced(Normed())
    with pytest.raises(SamplesError, match="no samples"):
        with_same_statistics(net, net, [])
    plain = traced(nn.Sequential(nn.Linear(3, 3)))
    x = torch.ones(1, 3)
    assert torch.equal(with_same_statistics(plain, plain, [(x,)])(x), plain(x))


class Single(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, momentum=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


def test_statistics_are_those_of_the_samples() -> None:
    torch.manual_seed(4)
    net = traced(Single())
    data = torch.randn(64, 2, 8, 8) * 3 + 1
    found = with_new_statistics(net, ((part,) for part in data.split(16)))
    with torch.no_grad():
        inside = net.conv(data)
    torch.testing.assert_close(
        found.norm.running_mean, inside.mean((0, 2, 3)), atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(found.norm.running_var, inside.var((0, 2, 3)), atol=0.2, rtol=0.05)
    assert not any(m.training for m in found.modules())
    assert found.norm.momentum == net.norm.momentum
    assert float(net.norm.running_mean.abs().sum()) == 0.0, "the given one stays"
    assert float(found(data).detach().mean((0, 2, 3)).abs().max()) < 0.02


def test_statistics_need_samples_of_more_rows_than_one() -> None:
    net = traced(nn.Sequential(nn.BatchNorm1d(3)))
    with pytest.raises(SamplesError, match="no samples"):
        with_new_statistics(net, [])
    with pytest.raises(SamplesError, match=r"1 row\(s\)"):
        with_new_statistics(net, [(torch.randn(1, 3),)])
    plain = traced(nn.Sequential(nn.Linear(3, 3)))
    assert torch.equal(with_new_statistics(plain, [])(torch.ones(1, 3)), plain(torch.ones(1, 3)))

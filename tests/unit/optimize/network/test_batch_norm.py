from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from whet.errors import SamplesError
from whet.optimize.network.batch_norm import with_new_statistics


def traced(net: nn.Module) -> fx.GraphModule:
    return fx.symbolic_trace(net.eval())


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, momentum=0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.conv(x))


def test_statistics_are_those_of_the_samples() -> None:
    torch.manual_seed(4)
    net = traced(Normed())
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

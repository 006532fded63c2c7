from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from whet.errors import ExportError
from whet.optimize.network.structure.layers import with_layers
from whet.optimize.quiet import quiet

Change = Callable[[torch.Tensor], torch.Tensor]


def relu(y: torch.Tensor) -> torch.Tensor:
    return torch.relu_(y)


def statement(y: torch.Tensor) -> torch.Tensor:
    y.add_(1.0).mul_(2.0)
    return y - 1


def seen_before(y: torch.Tensor) -> torch.Tensor:
    z = y * 2
    y.add_(1.0)
    return z + y


def through_a_view(y: torch.Tensor) -> torch.Tensor:
    y[:, 1].mul_(3.0)
    return y


def view_kept(y: torch.Tensor) -> torch.Tensor:
    z = y.transpose(1, 2)
    y.relu_()
    return z.transpose(1, 2) + y


class Changed(nn.Module):
    def __init__(self, change: Change, drop: type[nn.Module] = nn.Identity) -> None:
        super().__init__()
        self.conv, self.change, self.drop = nn.Conv1d(2, 4, 1), change, drop()
        self.head = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return self.head(self.change(self.drop(y)).flatten(1)) + y.mean((1, 2))[:, None]


@pytest.mark.parametrize(
    ("change", "plain"),
    [
        (relu, True),
        (statement, True),
        (seen_before, False),
        (through_a_view, False),
        (view_kept, False),
    ],
)
def test_what_changes_in_place_gives_the_same_answers_without(change: Change, plain: bool) -> None:
    torch.manual_seed(0)
    net, given = Changed(change).eval(), (torch.randn(2, 2, 3),)
    with quiet():
        program = torch.export.export(net, given)
    found = with_layers(program)
    mutable = [
        n
        for n in found.graph.nodes
        if getattr(n.target, "_schema", None) and n.target._schema.is_mutable
    ]
    assert not mutable
    torch.testing.assert_close(found(*given), net(*given))
    # Reshapes stay free of sizes where nothing asks for more.
    assert plain == any("flatten" in str(n.target) for n in found.graph.nodes)


def test_an_idle_dropout_before_it_hides_nothing() -> None:
    """Torch's own rewriting takes its answer for a copy, in evaluation it is what it takes."""
    given = (torch.randn(2, 2, 3),)
    for change in (relu, statement):
        net = Changed(change, nn.Dropout).eval()
        with quiet():
            found = with_layers(torch.export.export(net, given))
        torch.testing.assert_close(found(*given), net(*given))
    with quiet():
        program = torch.export.export(Changed(view_kept, nn.Dropout).eval(), given)
    with pytest.raises(ExportError, match="in place"):
        with_layers(program)

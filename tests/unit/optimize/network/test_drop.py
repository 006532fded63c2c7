from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from test_blocks import encoder, layered, words
from torch import fx, nn
from torch.nn import functional

from whet.errors import RequirementError
from whet.optimize.network.blocks import Block, blocks_of
from whet.optimize.network.drop import bridged, skipped
from whet.optimize.network.refit import Batches


def block_of(module: fx.GraphModule, name: str) -> Block:
    return next(b for b in blocks_of(module).blocks if b.name == name)


def samples(*batches: tuple[torch.Tensor, ...]) -> Batches:
    def every() -> Iterator[tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]]:
        return ((batch, batch) for batch in batches)

    return every


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


@pytest.mark.parametrize("name", ["one", "two"])
def test_what_is_linear_is_bridged_without_loss(name: str) -> None:
    torch.manual_seed(0)
    module = layered(Straight(), torch.randn(2, 3, 11, 11))
    block = block_of(module, name)
    data = [(torch.randn(8, 3, 11, 11),) for _ in range(4)]
    found, fit = bridged(module, block, module, block, samples(*data))
    assert fit.after < 1e-6 < fit.before
    fresh = torch.randn(5, 3, 11, 11)
    torch.testing.assert_close(found(fresh), module(fresh), atol=1e-3, rtol=1e-3)
    assert sum(p.numel() for p in found.parameters()) < sum(p.numel() for p in module.parameters())


def test_a_part_of_a_transformer_is_bridged_better_than_left_out() -> None:
    torch.manual_seed(0)
    module = encoder()
    block = block_of(module, "bert.encoder.layer.1")
    data = [words(8, 12) for _ in range(8)]
    with torch.no_grad():
        found, fit = bridged(module, block, module, block, samples(*data))
        wanted, without, bridge = (
            net(*words_of(3)) for net in (module, skipped(module, block), found)
        )
    assert fit.after < fit.before
    assert (bridge - wanted).square().mean() < (without - wanted).square().mean()


def words_of(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return words(16, 10)


def test_a_second_block_is_bridged_to_the_originals_own() -> None:
    torch.manual_seed(0)
    original = layered(Straight(), torch.randn(2, 3, 11, 11))
    data = samples(*((torch.randn(8, 3, 11, 11),) for _ in range(4)))
    first, _ = bridged(
        original, block_of(original, "one"), original, block_of(original, "one"), data
    )
    both, _ = bridged(first, block_of(first, "two"), original, block_of(original, "two"), data)
    fresh = torch.randn(5, 3, 11, 11)
    torch.testing.assert_close(both(fresh), original(fresh), atol=1e-3, rtol=1e-3)


def test_what_no_single_layer_makes_is_refused() -> None:
    module = layered(Straight(), torch.randn(2, 3, 11, 11))
    data = samples((torch.randn(2, 3, 11, 11),))
    with pytest.raises(RequirementError, match="'two' takes"):
        skipped(module, block_of(module, "two"))
    for name in ("stem", "head"):
        block = block_of(module, name)
        with pytest.raises(RequirementError, match=f"as '{name}' does"):
            bridged(module, block, module, block, data)

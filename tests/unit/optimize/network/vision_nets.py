"""Small vision transformers under surgery, in the forms that are met, and what they can learn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from surgery_nets import under_surgery
from test_blocks import layered
from torch import nn
from torch.nn import functional

from whet.core.spec import Signature, TensorSpec
from whet.optimize.network.structure.net import Batches, Net

__all__ = [
    "CLASSES",
    "SIDE",
    "Vision",
    "accuracy",
    "marks",
    "trained",
    "vision_net",
]

SIDE, PATCH, CLASSES = 24, 4, 4
_GRID = SIDE // PATCH

Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return functional.scaled_dot_product_attention(query, key, value)


def plain(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    return scores.softmax(-1) @ value


def folded(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Heads and rows in one axis, as older code has them."""
    parts = (part.flatten(0, 1) for part in (query, key, value))
    mixed = plain(*parts)
    return mixed.view(query.shape)


class Layer(nn.Module):
    """Pre-norm, with queries, keys and values in one layer, as timm's are."""

    def __init__(self, width: int, heads: int, attend: Attend) -> None:
        super().__init__()
        self.heads, self.attend = heads, attend
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(rows, tokens, 3, self.heads, width // self.heads)
        mixed = self.attend(*qkv.permute(2, 0, 3, 1, 4).unbind(0))
        x = x + self.proj(mixed.transpose(1, 2).reshape(rows, tokens, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


def first(tokens: torch.Tensor) -> torch.Tensor:
    return tokens[:, 0]


def mean(tokens: torch.Tensor) -> torch.Tensor:
    return tokens[:, 1:].mean(1)


class Vision(nn.Module):
    """A class token, patches, and what is read of them.

    Args:
        read: makes (rows, channels) of tokens.
        attend: attention of a layer.
        layers: of it.
        own: tokens besides the patches.
    """

    def __init__(
        self,
        read: Callable[[torch.Tensor], torch.Tensor] = first,
        attend: Attend = fused,
        layers: int = 2,
        own: int = 1,
        width: int = 32,
    ) -> None:
        super().__init__()
        self.read = read
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.own = nn.Parameter(torch.randn(1, own, width))
        self.places = nn.Parameter(torch.randn(1, own + _GRID**2, width) / 2)
        self.layers = nn.Sequential(*(Layer(width, 4, attend) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.own.expand(x.shape[0], -1, -1), patches], 1) + self.places
        return self.head(self.read(self.norm(self.layers(tokens))))


def vision_net(module: nn.Module | None = None, answer: tuple[int | str, ...] = ()) -> Net:
    """A vision transformer under surgery; one of random weights by default."""
    torch.manual_seed(0)
    found = layered(module or Vision(), torch.randn(2, 3, SIDE, SIDE))
    spec = TensorSpec("picture", "float32", ("batch", 3, SIDE, SIDE))
    given = TensorSpec("scores", "float32", ("batch", *(answer or (CLASSES,))))
    return under_surgery(found, Signature((spec,), (given,)))


def marks(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of noise on a slope, with one of four marks over four patches somewhere."""
    random = torch.Generator().manual_seed(seed)
    slope = torch.linspace(-1, 1, SIDE).view(1, 1, 1, SIDE)
    pictures = 0.2 * torch.randn(rows, 3, SIDE, SIDE, generator=random) + slope
    labels = torch.randint(CLASSES, (rows,), generator=random)
    places = torch.randint(SIDE - 2 * PATCH, (rows, 2), generator=random)
    stripes = torch.tensor([1.0, -1.0]).repeat_interleave(2).repeat(PATCH // 2)
    up, checks = stripes.view(1, -1), stripes.view(1, -1) * stripes.view(-1, 1)
    shapes = [up.expand(8, 8), up.expand(8, 8).T, checks, torch.ones(8, 8)]
    for row, (label, (y, x)) in enumerate(zip(labels.tolist(), places.tolist(), strict=True)):
        pictures[row, :, y : y + 8, x : x + 8] += 1.5 * shapes[label]
    return pictures, labels


def trained(steps: int = 120, seed: int = 0) -> nn.Module:
    """A small vision transformer that tells the marks apart, after seconds."""
    torch.manual_seed(seed)
    net = Vision()
    optimiser = torch.optim.Adam(net.parameters(), 4e-3)
    for step in range(steps):
        pictures, labels = marks(32, 1000 + step)
        optimiser.zero_grad()
        functional.cross_entropy(net(pictures), labels).backward()
        optimiser.step()
    return net.eval()


def accuracy(module: nn.Module, pictures: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        return float((module(pictures).argmax(1) == labels).float().mean())


def shown(rows: int = 48, batches: int = 4) -> Batches:
    """Pictures in batches."""
    return tuple((marks(rows // batches, 7 + i)[0],) for i in range(batches))

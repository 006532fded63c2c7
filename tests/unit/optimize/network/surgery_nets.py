"""Small networks under surgery, for the tests of what changes them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from test_blocks import encoder, layered, words
from torch import fx, nn

from whet.core.context import Context
from whet.core.spec import Arrays, Signature, TensorSpec
from whet.optimize.network.structure.blocks import blocks_of
from whet.optimize.network.structure.net import Batches, Net

__all__ = ["Rows", "context", "encoder_net", "pictures", "residual_net", "texts", "under_surgery"]


class Residual(nn.Module):
    """A bottleneck whose last channels give what the first ones do, doubled."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.a, self.na = nn.Conv2d(width, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.b, self.nb = nn.Conv2d(inner, inner, 3, 1, 1, bias=False), nn.BatchNorm2d(inner)
        self.c = nn.Conv2d(inner, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.na(self.a(x)))
        return x + self.c(torch.relu(self.nb(self.b(y))))


class Bottlenecks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, 2)
        self.one, self.two = Residual(12, 16), Residual(12, 16)
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.two(self.one(torch.relu(self.stem(x)))).mean((2, 3)))


def under_surgery(module: fx.GraphModule, signature: Signature) -> Net:
    return Net(module, module, blocks_of(module), signature)


def residual_net(*, copies: bool = False) -> Net:
    """Two bottlenecks; with ``copies`` half of the inner channels say what the others say."""
    torch.manual_seed(0)
    net = Bottlenecks()
    if copies:
        with torch.no_grad():
            for part in (net.one, net.two):
                for layer in (part.a, part.b):  # twice the weights, twice what is given
                    layer.weight[8:] = 2 * layer.weight[:8]
    module = layered(net, torch.randn(2, 3, 17, 17))
    spec = TensorSpec("picture", "float32", ("batch", 3, 17, 17))
    given = TensorSpec("scores", "float32", ("batch", 4))
    return under_surgery(module, Signature((spec,), (given,)))


def encoder_net() -> Net:
    torch.manual_seed(0)
    specs = tuple(TensorSpec(n, "int64", ("batch", "sequence")) for n in ("ids", "mask"))
    given = TensorSpec("hidden", "float32", ("batch", "sequence", 16))
    return under_surgery(encoder(), Signature(specs, (given,)))


def pictures(batches: int = 6, rows: int = 8, seed: int = 1) -> Batches:
    random = torch.Generator().manual_seed(seed)
    return tuple((torch.randn(rows, 3, 17, 17, generator=random),) for _ in range(batches))


def texts(batches: int = 6, rows: int = 8) -> Batches:
    torch.manual_seed(1)
    return tuple(words(rows, 9) for _ in range(batches))


class Rows:
    """Arrays as samples."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def batches(self, size: int, limit: int | None = None) -> Iterator[Arrays]:
        most = min(len(self), limit or len(self))
        for start in range(0, most, size):
            yield {k: v[start : min(start + size, most)] for k, v in self.arrays.items()}

    def rows(self, indices: np.ndarray) -> Arrays:
        return {k: v[indices] for k, v in self.arrays.items()}


def context(net: Net, batches: Batches, folder: object = None) -> Context:
    """A context whose repair samples are these batches."""
    names = [spec.name for spec in net.signature.inputs]
    arrays = {n: torch.cat([b[i] for b in batches]).numpy() for i, n in enumerate(names)}
    return Context(workdir=folder, reference=None, repair=Rows(arrays))  # type: ignore[arg-type]

"""Train a small network on real digits, then sharpen it from Python with live objects.

Run: python examples/digits.py [--quick] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

import whet


def small_network() -> nn.Module:
    """Two convolutions and a classifier for 8x8 pictures."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 10),
    )


def train(network: nn.Module, x: NDArray[np.float32], y: NDArray[np.int64], epochs: int) -> None:
    """Plain Adam on shuffled batches of 64."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()


def main() -> int:
    parser = argparse.ArgumentParser(description="Sharpen a digit classifier.")
    parser.add_argument("--quick", action="store_true", help="a short search, for tests")
    parser.add_argument("--out", type=Path, default=Path("digits.whet"), help="the bundle")
    args = parser.parse_args()

    digits = load_digits()
    x = (digits.images[:, None] / 16).astype(np.float32)
    y = digits.target.astype(np.int64)
    network = small_network()
    train(network, x[:800], y[:800], epochs=5 if args.quick else 20)
    network.eval()

    # --8<-- [start:optimise]
    contract = whet.Contract(limit_ms=2.0, metric="top1", max_drop=whet.Drop(0.02))
    outcome = whet.optimize(
        network,
        {"input": x[800:]},  # samples that training has not seen
        contract,
        labels=y[800:],
        out=args.out,
        budget_s=60 if args.quick else 180,
    )
    print(outcome.evidence.sentence)
    # --8<-- [end:optimise]
    if outcome.bundle is None:
        return outcome.exit_code

    # --8<-- [start:load]
    with whet.load(args.out) as model:
        answers = model.run({"input": x[800:805]})
    (logits,) = answers.values()
    print("read:", logits.argmax(axis=1), "written:", y[800:805])
    # --8<-- [end:load]
    return 0


if __name__ == "__main__":
    sys.exit(main())

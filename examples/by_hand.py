"""Passes by hand: make a digit classifier narrower and int8, keep the recipe, make it again.

Run: python examples/by_hand.py [--quick] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import whet


class Digits(nn.Module):
    """A stem, one residual block and a classifier for 8x8 pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, padding=1)
        self.block = nn.Sequential(
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 32, 3, padding=1)
        )
        self.head = nn.Linear(32 * 16, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.stem(pixels))
        y = torch.relu(y + self.block(y))
        return self.head(nn.functional.max_pool2d(y, 2).flatten(1))


def train(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    """Plain Adam on shuffled batches of 64."""
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimizer.step()


def main() -> int:
    parser = argparse.ArgumentParser(description="Passes by hand.")
    parser.add_argument("--quick", action="store_true", help="less training, for tests")
    parser.add_argument("--out", type=Path, default=Path("by-hand"), help="for graphs and recipes")
    args = parser.parse_args()

    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    labels = digits.target.astype(np.int64)
    network = Digits()
    train(
        network,
        torch.from_numpy(images[:800]),
        torch.from_numpy(labels[:800]),
        epochs=5 if args.quick else 20,
    )
    network.eval()
    samples = {"pixels": images[800:]}  # that training has not seen

    # --8<-- [start:pipeline]
    pipeline = whet.Pipeline([whet.Narrow(0.4), whet.Repair(), whet.QuantizeNncf()])
    made = whet.apply(pipeline, network, samples, labels=labels[800:], out=args.out / "first")
    print(made.graph, made.before.parameters, "->", made.after.parameters, "parameters")
    print(f"at most {made.max_deviation:.3g} off on {made.rows} rows that no pass saw")
    for note in made.notes:
        print(note.where, note.reason)
    # --8<-- [end:pipeline]

    # --8<-- [start:again]
    recipe = args.out / "first" / "recipe.yaml"
    again = whet.apply(recipe, network, samples, labels=labels[800:], out=args.out / "again")
    print("the same bytes:", again.graph.read_bytes() == made.graph.read_bytes())
    # --8<-- [end:again]

    # --8<-- [start:recipe]
    whet.write_recipe(pipeline, args.out / "mine.yaml")
    print(whet.read_recipe(args.out / "mine.yaml").to_yaml())
    # --8<-- [end:recipe]
    return 0


if __name__ == "__main__":
    sys.exit(main())

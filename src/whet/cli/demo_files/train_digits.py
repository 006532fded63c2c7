"""Trains the digits network and saves weights and held-out samples; run by `whet demo`.

The data are the 1,797 handwritten digits that come with scikit-learn, enlarged to 16x16
pixels: on their own 8x8 a network is over before any arithmetic matters. The
network sees 797 of them, slightly turned, scaled and shifted anew each time;
the other 1,000 are saved as samples, so that nothing is certified on a
picture that the network was trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from digits_net import build  # type: ignore[import-not-found]  # lies beside this script when it runs
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch.nn import functional

__all__ = ["main"]

TRAINED_ON = 797
SIDE = 16
EPOCHS = 6
BATCH = 50
SEED = 0


def enlarged(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same pictures with `SIDE` pixels a side."""
    larger = functional.interpolate(torch.from_numpy(pictures), size=(SIDE, SIDE), mode="bilinear")
    return np.asarray(larger, np.float32)


def bent(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each picture turned by up to 14 degrees, scaled by up to 15 % and shifted by up to an eighth."""
    count = len(pictures)

    def between(most: float, *size: int) -> torch.Tensor:
        return (torch.rand(count, *size, generator=generator) * 2 - 1) * most

    angle, scale, shift = between(0.25), 1 + between(0.15), between(0.25, 2)
    row_1 = torch.stack([scale * angle.cos(), -scale * angle.sin(), shift[:, 0]], 1)
    row_2 = torch.stack([scale * angle.sin(), scale * angle.cos(), shift[:, 1]], 1)
    grid = functional.affine_grid(
        torch.stack([row_1, row_2], 1), pictures.shape, align_corners=False
    )
    return functional.grid_sample(pictures, grid, align_corners=False)


def main(where: Path) -> None:
    """Train, save ``digits.safetensors`` and ``samples.npz``, print the accuracy on the samples."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    digits = load_digits()
    pictures = enlarged((digits.images / 16).astype(np.float32)[:, None])
    labels = digits.target.astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(labels))
    seen, held_out = order[:TRAINED_ON], order[TRAINED_ON:]
    inputs, targets = torch.from_numpy(pictures[seen]), torch.from_numpy(labels[seen])

    network = build().to(memory_format=torch.channels_last)  # which CPUs train faster in
    steps = EPOCHS * -(-TRAINED_ON // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(TRAINED_ON, generator=generator).split(BATCH):
            logits = network(bent(inputs[chosen], generator))
            loss = functional.cross_entropy(logits, targets[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()

    network.eval()
    with torch.no_grad():
        answers = network(torch.from_numpy(pictures[held_out])).argmax(1).numpy()
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights, where / "digits.safetensors")
    np.savez(where / "samples.npz", input=pictures[held_out], labels=labels[held_out])
    right = float((answers == labels[held_out]).mean())
    print(f"top-1 {right:.1%} on {len(held_out):,} held-out digits")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

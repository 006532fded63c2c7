"""A small convolutional network for digits of 16x16 pixels; `whet demo` optimises it.

This is a user's own file: whet is given ``digits_net.py:build`` and the
weights, and knows nothing else of it.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["build"]


def block(inside: int, outside: int) -> nn.Sequential:
    """Convolution, normalisation, activation; the size stays."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(),
    )


class DigitsNet(nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
    """Four convolutions; takes float32 (batch, 1, 16, 16) in 0-1, gives (batch, 10) logits."""

    def __init__(self, width: int = 80) -> None:
        super().__init__()
        self.features = nn.Sequential(
            block(1, width),
            block(width, width),
            nn.MaxPool2d(2),
            block(width, 2 * width),
            block(2 * width, 2 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classify = nn.Linear(2 * width, 10)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the input's name in the graph
        """Logits."""
        return self.classify(self.features(input))


def build() -> DigitsNet:
    """The factory that whet calls."""
    return DigitsNet()

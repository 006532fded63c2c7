"""What the user gave, unread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whet.data.text import Pairs
from whet.data.transform import Transform
from whet.measure.custom import UserFunction

if TYPE_CHECKING:
    import torch

__all__ = ["Given"]


@dataclass(frozen=True)
class Given:
    """What the user gave, unread.

    Attributes:
        network: a path (see `whet.optimize.intake`) or a live module.
        samples: see `whet.data.readers.open_samples`.
        pairs: how two texts of a sample become rows; by default as the network is used.
        train: more samples, as ``samples``, that a network may learn from; labels aren't needed.
        most: samples read at most; a larger set is drawn from, seeded.
        metric: a live function; the contract holds its name.
    """

    network: str | torch.nn.Module
    samples: Any
    train: Any = None
    weights: str | None = None
    transform: Transform | None = None
    labels: Any = None
    label_key: str | None = None
    text_keys: tuple[str, ...] | None = None
    pairs: Pairs | None = None
    label_offset: int = 0
    most: int = 20_000
    seed: int = 0
    runtimes: tuple[str, ...] | None = None
    metric: UserFunction | None = None

"""What the user gave, unread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from whet.core.arguments import instance_of, maybe, names_of, one_of, path_of, text_of, whole_of
from whet.data.text import Pairs
from whet.data.transform import Transform
from whet.measure.custom import UserFunction

if TYPE_CHECKING:
    import torch

__all__ = ["Given", "given_of"]


@dataclass(frozen=True)
class Given:
    """What the user gave, unread.

    Attributes:
        network: a path (see `whet.optimize.intake`) or a live module.
        samples: see `whet.data.readers.open_samples`.
        pairs: how two texts of a sample become rows; by default as the network is used.
        train: more samples, as ``samples``, that a network may learn from; labels aren't needed, and are
            learnt where there are some.
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


def given_of(
    network: str | Path | torch.nn.Module,
    samples: Any,
    *,
    weights: str | Path | None,
    transform: Transform | None,
    labels: Any,
    label_key: str | None,
    text_keys: Sequence[str] | None,
    pairs: Pairs | None,
    label_offset: int,
    most: int,
    seed: int,
    train: Any = None,
    runtimes: Sequence[str] | None = None,
    metric: UserFunction | None = None,
) -> Given:
    """What the user gave, each argument of the type that it is to have; see `Given`.

    Raises:
        OptionError: one of another type.
    """
    held = maybe(path_of, "weights", weights)
    return Given(
        network=str(network) if isinstance(network, Path) else network,
        samples=samples,
        train=train,
        weights=str(held) if held is not None else None,
        transform=_transform_of(transform),
        labels=labels,
        label_key=maybe(text_of, "label_key", label_key),
        text_keys=maybe(names_of, "text_keys", text_keys),
        pairs=one_of("pairs", pairs, get_args(Pairs)) if pairs is not None else None,
        label_offset=whole_of("label_offset", label_offset),
        most=whole_of("most", most),
        seed=whole_of("seed", seed),
        runtimes=maybe(names_of, "runtimes", runtimes),
        metric=metric,
    )


def _transform_of(transform: Transform | None) -> Transform | None:
    if transform is None:
        return None
    remedy = "Give a whet.ImageTransform or a whet.TextTransform, or None."
    return instance_of("transform", transform, get_args(Transform), remedy)

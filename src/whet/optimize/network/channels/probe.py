"""From which channel of what it takes each number of an operator's answer is made; found by probing.

Theory of operation. A channel is filled with what is no number, and whatever is no number afterwards
was made from it. As the numbers of channels are told apart by their bits, some twenty such runs on
a small example tell for each channel of the answer the one that it was made from: for an addition
the same, for a padding one further along, for a softmax over channels several. So nothing is known
of an operator by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import fx

__all__ = ["PADS", "is_even", "placed", "source_of", "told_nothing"]

_aten = torch.ops.aten
PADS = frozenset({_aten.constant_pad_nd.default, _aten.pad.default})
"""Operators that add channels, whose widths can be written anew."""


def source_of(run: fx.Interpreter, node: fx.Node, taken: fx.Node, axis: int) -> torch.Tensor | None:
    """For each number of an answer the channel that it's made from, -1 where from none.

    ``None`` where some are made from several.
    """
    env, value = run.env, run.env[taken]
    count = value.shape[axis]
    bits, places = max(1, (count - 1).bit_length()), torch.arange(count)
    shape = env[node].shape
    seen = [torch.zeros(shape, dtype=torch.long) for _ in range(2)]
    for bit in range(bits):
        for on, found in enumerate(seen):
            marked = ((places >> bit & 1) == on).nonzero().flatten()
            env[taken] = value.index_fill(axis, marked, torch.nan)
            found |= run.run_node(node).isnan().long() << bit
    env[taken] = value
    zeros, ones = seen
    none, one = (zeros | ones) == 0, (zeros ^ ones) == (1 << bits) - 1
    return torch.where(none, -1, ones) if bool((none | one).all()) else None


def placed(source: torch.Tensor) -> tuple[int, torch.Tensor] | None:
    """The one axis along which what numbers are made from changes, and from which along it."""
    fitting = list(_along(source))
    return fitting[0] if len(fitting) == 1 else None


def _along(source: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    for axis in range(source.dim()):
        rows = source.movedim(axis, 0).flatten(1)
        most = rows.amax(1)
        if bool(((rows == most[:, None]) | (rows == -1)).all()):
            yield axis, most


def is_even(places: torch.Tensor, count: int, node: fx.Node) -> bool:
    """Whether all channels are in the answer, and equally often: none is picked by its number."""
    often = torch.bincount(places[places >= 0], minlength=count)
    return bool((often == often[0]).all() and often[0] > 0) or (
        node.target in PADS and bool((often <= 1).all())
    )


def told_nothing(sources: Mapping[fx.Node, torch.Tensor | None]) -> bool:
    """Whether an answer is made from no channel's numbers, as a comparison is."""
    return all(source is not None and bool((source == -1).all()) for source in sources.values())

"""A network under surgery: what it is by now, what it was, and where it can be cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from whet.core.artifact import Artifact
from whet.core.context import Context, Feed
from whet.core.spec import Signature
from whet.errors import RequirementError
from whet.optimize.network.blocks import Block, Blocks, blocks_of
from whet.optimize.network.layers import with_layers
from whet.optimize.quiet import quiet
from whet.runtimes.torch_program import load_program

__all__ = ["Batches", "Net", "Rows", "batches_of", "opened", "samples_of"]

Batches = tuple[tuple[torch.Tensor, ...], ...]
"""Inputs in order, each in batches of one size."""


@dataclass(frozen=True)
class Net:
    """A network under surgery. Passes make a new one; what they don't change is shared.

    The values between blocks keep their names and shapes whatever becomes of the blocks.

    Attributes:
        module: as it is by now.
        original: as it was.
        cut: the blocks of the original.
        signature: of both.
        kept: the original's output channels that a layer still has, by its name; others have all.
        pairs: of each low-rank pair the second layer's name, by the first's. The second has the
            name of the original's layer, and its ``kept``.
        substituted: whether another network stands in the original's place, so that all of it is
            one block.
    """

    module: fx.GraphModule
    original: fx.GraphModule
    cut: Blocks
    signature: Signature
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)
    pairs: Mapping[str, str] = field(default_factory=dict)
    substituted: bool = False

    def need_own_layers(self) -> None:
        """Refuse what changes the original's layers where there are none of them.

        Raises:
            RequirementError: another network stands in the original's place.
        """
        if self.substituted:
            raise RequirementError(
                "Another network stands in the original's place, which has none of its layers.",
                "Teach it with 'distill'; what is narrowed or repaired comes without 'substitute'.",
            )

    def block(self, name: str) -> Block:
        """One block by its name.

        Raises:
            RequirementError: there is none of this name.
        """
        for block in self.cut.blocks:
            if block.name == name:
                return block
        known = ", ".join(block.name for block in self.cut.blocks)
        raise RequirementError(f"There is no block '{name}'.", f"The blocks are {known}.")


def opened(program: Artifact | None) -> Net:
    """A network under surgery to which nothing was done yet.

    Raises:
        RequirementError: there is no program: the network came as an ONNX file.
        ExportError: see `whet.optimize.network.layers.with_layers`.
    """
    if program is None:
        raise RequirementError(
            "The network came as a graph, whose layers can't be changed.",
            "Give the torch network itself: file.py:function, a .pt2 program or a live module.",
        )
    with quiet():
        module = with_layers(load_program(Path(program.path), "torch"))
    return Net(module, module, blocks_of(module), program.signature)


def batches_of(ctx: Context, signature: Signature, *, size: int, most: int) -> Batches:
    """Samples as a network takes them, in whole batches of one size; a seeded draw of many.

    Args:
        ctx: with samples.
        signature: of the network, which says the order of its inputs.
        size: rows of a batch; fewer where there aren't as many.
        most: rows in all.

    Raises:
        RequirementError: there are no samples.
    """
    rows = Rows(samples_of(ctx), signature)
    count = min(most, len(rows))
    size = min(size, count)
    drawn = np.random.default_rng(ctx.seed).permutation(len(rows))[: count - count % size]
    return tuple(rows.take(part) for part in drawn.reshape(-1, size))


def samples_of(ctx: Context) -> Feed:
    """What a network may learn from: the samples for training, else the repair samples.

    Raises:
        RequirementError: there are none.
    """
    found = ctx.train if ctx.train is not None and len(ctx.train) else ctx.repair
    if found is None or not len(found):
        raise RequirementError("There are no samples to repair with.", "Give some.")
    return found


class Rows:
    """Samples as a network takes them: tensors, in the order of its inputs.

    Args:
        feed: the samples.
        signature: of the network.
    """

    def __init__(self, feed: Feed, signature: Signature) -> None:
        self._feed = feed
        self._names = [spec.name for spec in signature.inputs]

    def __len__(self) -> int:
        return len(self._feed)

    def take(self, places: NDArray[np.integer]) -> tuple[torch.Tensor, ...]:
        """The rows at these places as one batch, padded to the longest of them."""
        arrays = self._feed.rows(places)
        return tuple(torch.from_numpy(arrays[name].copy()) for name in self._names)

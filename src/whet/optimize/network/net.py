"""A network under surgery: what it is by now, what it was, and where it can be cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import fx

from whet.core.artifact import Artifact
from whet.core.context import Context, Feed
from whet.core.spec import Arrays, Signature
from whet.errors import RequirementError
from whet.optimize.network.blocks import Block, Blocks, blocks_of
from whet.optimize.network.layers import with_layers
from whet.optimize.quiet import quiet
from whet.runtimes.torch_program import load_program

__all__ = ["Batches", "Net", "batches_of", "opened", "samples_of"]

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
    """

    module: fx.GraphModule
    original: fx.GraphModule
    cut: Blocks
    signature: Signature
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)
    pairs: Mapping[str, str] = field(default_factory=dict)

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
    """Repair samples as a network takes them, in whole batches of one size.

    Args:
        ctx: with samples.
        signature: of the network, which says the order of its inputs.
        size: rows of a batch; fewer where there aren't as many.
        most: rows in all.

    Raises:
        RequirementError: there are no repair samples.
    """
    feed = samples_of(ctx)
    rows = min(most, len(feed))
    size = min(size, rows)
    names = [spec.name for spec in signature.inputs]
    return tuple(_tensors(each, names) for each in feed.batches(size, rows - rows % size))


def samples_of(ctx: Context) -> Feed:
    """The repair samples.

    Raises:
        RequirementError: there are none.
    """
    if ctx.repair is None or not len(ctx.repair):
        raise RequirementError("There are no samples to repair with.", "Give some.")
    return ctx.repair


def _tensors(arrays: Arrays, names: list[str]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(arrays[name].copy()) for name in names)

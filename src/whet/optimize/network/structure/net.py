"""A network under surgery: what it is by now, what it was, and where it can be cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from whet.core.artifact import Artifact
from whet.core.context import Context, Feed
from whet.core.spec import Signature
from whet.errors import PostconditionError, RequirementError
from whet.optimize.network.structure.blocks import Block, Blocks, blocks_of
from whet.optimize.network.structure.layers import with_layers
from whet.optimize.network.structure.modules import part_at
from whet.optimize.network.structure.pattern import Pattern
from whet.optimize.quiet import quiet
from whet.runtimes.torch_program import load_program

__all__ = [
    "Batches",
    "Kept",
    "Net",
    "Rows",
    "batches_of",
    "check_kept",
    "example_of",
    "judging_apart",
    "opened",
    "samples_of",
]

_EXAMPLE_ROWS = 2
_JUDGING = 3  # of so many batches at least, one judges

Batches = tuple[tuple[torch.Tensor, ...], ...]
"""Inputs in order, each in batches of one size."""


@dataclass(frozen=True)
class Kept:
    """Channels of the original's value that the network still has.

    Attributes:
        axis: along which they lie.
        channels: their places, in order.
    """

    axis: int
    channels: torch.Tensor

    def of(self, value: torch.Tensor) -> torch.Tensor:
        """These channels of the original's value."""
        return value.index_select(self.axis, self.channels)


@dataclass(frozen=True)
class Net:
    """A network under surgery. Passes make a new one; what they don't change is shared.

    The values between blocks keep their names whatever becomes of the blocks. They keep their
    shapes as well, but for channels of the stream that were given up in all blocks: what a value
    of the network is to be is the original's, restricted to those that it still has.

    Attributes:
        module: as it is by now.
        original: as it was.
        cut: the blocks of the original.
        signature: of both.
        kept: the original's output channels that a layer still has, by its name; others have all.
        pairs: of each low-rank or separable pair the second layer's name, by the first's. The second
            has the name of the original's layer, and its ``kept``.
        stream: the channels that a value between blocks still has, by its name; others have all.
        came: the network as it came, where pictures have become smaller since. The original is
            that network on smaller pictures then.
        sparse: where the zeros of layers lie that stay, by the layer's name.
        substituted: whether another network stands in the original's place, so that all of it is
            one block.
        ends_behind: the block that it ends behind, where a head of its own answers from there.
        rounded: whether it computes in whole numbers, so that nothing of it changes any more.
        merged: whether tokens were merged, so that values behind have others than the original's.
    """

    module: fx.GraphModule
    original: fx.GraphModule
    cut: Blocks
    signature: Signature
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)
    pairs: Mapping[str, str] = field(default_factory=dict)
    stream: Mapping[str, Kept] = field(default_factory=dict)
    came: fx.GraphModule | None = None
    sparse: Mapping[str, Pattern] = field(default_factory=dict)
    substituted: bool = False
    ends_behind: str = ""
    rounded: bool = False
    merged: bool = False

    @property
    def teacher(self) -> fx.GraphModule:
        """What is to be answered as: the network as it came."""
        return self.original if self.came is None else self.came

    def restricted(self, name: str, values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """What a value between blocks is to be: the original's, of the channels that it still has.

        Args:
            name: of the value.
            values: of the original, on each batch.
        """
        kept = self.stream.get(name)
        return list(values) if kept is None else [kept.of(value) for value in values]

    def need_own_layers(self) -> None:
        """Refuse what changes the original's layers where they aren't there, or not all of them.

        Raises:
            RequirementError: another network stands in the original's place, it ends early, values
                between blocks can't be compared with the original's, or see `need_floats`.
        """
        self.need_floats()
        if self.ends_behind:
            raise RequirementError(
                f"The network ends behind '{self.ends_behind}', and has no layers from there on.",
                "Put 'exit-after' behind what changes layers; only 'distill' may come after it.",
            )
        if self.merged:
            raise RequirementError(
                "Tokens were merged, so values between blocks aren't those of the original any more.",
                "Put 'merge-tokens' behind all passes over the network but 'distill'.",
            )
        if self.substituted:
            raise RequirementError(
                "Another network stands in the original's place, which has none of its layers.",
                "Teach it with 'distill'; what is narrowed or repaired comes without 'substitute'.",
            )

    def need_floats(self) -> None:
        """Refuse what changes weights where they are whole numbers.

        Raises:
            RequirementError: they are.
        """
        if self.rounded:
            raise RequirementError(
                "The network's weights were rounded to 8 bits, and stay as they are.",
                "Put 'learn-int8' behind all passes that change the network.",
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


def check_kept(net: Net) -> None:
    """That layers have as many channels as are known of them.

    Raises:
        PostconditionError: one has another number.
    """
    for name, channels in net.kept.items():
        layer = part_at(net.module, name)
        have = len(layer.weight) if isinstance(layer, nn.Module) else len(channels)
        if have != len(channels):  # blocks that were left out have none
            raise PostconditionError(
                f"'{name}' has {have} channels, not {len(channels)}.",
                "Report this with the network.",
            )


def example_of(net: Net) -> tuple[torch.Tensor, ...]:
    """Rows that a network can be traced with."""
    found = []
    for node in net.original.graph.find_nodes(op="placeholder"):
        value = node.meta["val"]
        found.append(torch.ones([_size(d) for d in value.shape], dtype=value.dtype))
    return tuple(found)


def _size(dim: int | torch.SymInt) -> int:
    """A size as it was when the network was traced; a free one of 1 would be a special case."""
    return dim if isinstance(dim, int) else max(_EXAMPLE_ROWS, int(dim.node.hint or 0))


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


def judging_apart(batches: Batches, rows: int) -> tuple[Batches, Batches]:
    """Batches that judge, and those that are fitted to; all are both where there is only one.

    Args:
        batches: of one size.
        rows: that judge, at most a third of all.
    """
    apart = max(1, min(-(-rows // len(batches[0][0])), len(batches) // _JUDGING))
    return batches[:apart], batches[apart:] or batches


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

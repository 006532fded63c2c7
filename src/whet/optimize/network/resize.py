"""Pictures made smaller inside the network, so that all behind works on smaller maps.

A fully convolutional network takes pictures of any size, and its work grows with their area. A
resampling right behind the input leaves what users send, and the transform, as they are. Objects
look smaller then than in training, and the statistics of what layers give shift with it, which is
most of the damage (Touvron et al. 2019, "Fixing the train-test resolution discrepancy"); so batch
norms are adapted on unlabelled samples (`whet.optimize.network.fitting.batch_norm`).

The network on smaller pictures is the original of all passes that follow, as maps must have the
same sizes to be compared. What is taught as a whole still learns the answers of the network as it
came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import fx

from whet.core.context import Context
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PostconditionError, RequirementError
from whet.optimize.network.fitting.batch_norm import with_same_statistics
from whet.optimize.network.learning.views import COLOURS
from whet.optimize.network.structure.blocks import Block, Blocks, Shape
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.net import Net, batches_of, example_of, samples_of
from whet.optimize.network.structure.walk import Walk

__all__ = ["Resize", "picture_in", "resized"]

_ROWS, _BATCH = 128, 16
_LEAST = 8  # pixels of the shorter side

_aten = torch.ops.aten


@final
@dataclass(frozen=True)
class Resize(Pass[Net, Net]):
    """Work on smaller pictures.

    Attributes:
        size: of the shorter side, in pixels; the other keeps its proportion.

    Raises:
        OptionError: next to no pixel is left.
    """

    name: ClassVar[str] = "resize"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    size: int

    def __post_init__(self) -> None:
        if self.size < _LEAST:
            raise OptionError(
                f"Of pictures, {self.size} pixels a side are left.",
                f"Give a size of {_LEAST} or more.",
            )

    def requires(self, model: Net, ctx: Context) -> None:
        samples_of(ctx)
        if model.module is not model.original or model.came is not None:
            raise RequirementError(
                "The network was changed before its pictures are.",
                "Put 'resize' first of all passes.",
            )
        height, width = picture_in(model)[1]
        if self.size >= min(height, width):
            raise RequirementError(
                f"The pictures are {height} x {width} pixels.",
                f"Give a size below {min(height, width)}.",
            )

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        smaller = resized(model, self.size)
        batches = batches_of(ctx, model.signature, size=_BATCH, most=_ROWS)
        module = with_same_statistics(smaller.module, model.original, batches)
        return PassResult(replace(smaller, module=module, original=module), True)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # the graph says it
        if model.came is None or model.came is model.original:
            raise PostconditionError("The pictures are as large as they were.", "Report this.")


def picture_in(net: Net) -> tuple[str, tuple[int, int]]:
    """The input that is a picture, with its height and width.

    Raises:
        RequirementError: there is none or there are several, or it has no fixed size.
    """
    found = []
    for node in net.original.graph.find_nodes(op="placeholder"):
        value = node.meta["val"]
        if value.dim() == len("NCHW") and value.is_floating_point() and value.shape[1] in COLOURS:
            found.append((node.name, tuple(value.shape[2:])))
    if len(found) != 1 or not all(isinstance(side, int) for side in found[0][1]):
        raise RequirementError(
            "The network doesn't take one picture of a fixed size as (rows, colours, height,"
            " width) in floats.",
            "Leave its inputs as they are; where it takes any size, send smaller pictures.",
        )
    return found[0]


def resized(net: Net, size: int) -> Net:
    """The network on smaller pictures, with its batch norms as they were.

    Args:
        net: to which nothing was done yet; it stays as it is.
        size: of the shorter side.

    Raises:
        RequirementError: the network needs pictures of the size that it has.
    """
    name, sides = picture_in(net)
    new = [round(side * size / min(sides)) for side in sides]
    module = copied(net.original)
    (picture,) = (n for n in module.graph.find_nodes(op="placeholder") if n.name == name)
    with module.graph.inserting_after(picture):
        made = module.graph.call_function(_aten.upsample_bilinear2d.vec)
    picture.replace_all_uses_with(made)
    made.args = (picture, new, False, None)  # corners aren't aligned, as picture libraries do it
    _pool_whole_maps(module.graph)
    module.recompile()
    return replace(net, module=module, original=module, cut=_cut(net, module), came=net.original)


def _pool_whole_maps(graph: fx.Graph) -> None:
    """A mean over all of a map in place of one over its number of pixels."""
    for node in graph.find_nodes(op="call_function", target=_aten.avg_pool2d.default):
        value, kernel, *rest = node.args
        whole = list(value.meta["val"].shape[2:]) == list(kernel)
        if whole and not any(map(_pads, rest[1:2])):
            node.target, node.args, node.kwargs = _aten.mean.dim, (value, [2, 3], True), {}


def _pads(widths: object) -> bool:
    return any(widths) if isinstance(widths, Sequence) else bool(widths)


def _cut(net: Net, module: fx.GraphModule) -> Blocks:
    """The same blocks with the sizes of their maps now."""
    names = [n for b in net.cut.blocks for n in (b.span.entry, b.span.exit) if n is not None]
    example = example_of(net)
    own = _shapes(module, names, example)
    its = _shapes(net.original, names, example)
    if own is None or its is None or own[""] != its[""]:
        raise RequirementError(
            "The network works on pictures of one size alone, or its answers have that of the"
            " picture.",
            "Leave the size as it is.",
        )

    def fitted(shape: Shape, name: str) -> Shape:
        sizes = zip(shape, own[name], its[name], strict=True)
        return tuple(new if new != old else size for size, new, old in sizes)

    def smaller(block: Block) -> Block:
        entry, takes = block.span.entry, block.takes
        takes = takes if entry is None or takes is None else fitted(takes, entry)
        return replace(block, takes=takes, gives=fitted(block.gives, block.span.exit))

    return Blocks(tuple(map(smaller, net.cut.blocks)), net.cut.notes)


def _shapes(
    module: fx.GraphModule, names: Sequence[str], example: tuple[torch.Tensor, ...]
) -> dict[str, tuple[int, ...]] | None:
    """Of some values, and of the answers under no name; ``None`` where the example doesn't run."""
    walk = Walk(module, [example])
    order = [node.name for node in module.graph.nodes if node.name in set(names)]
    try:
        found = {name: tuple(walk.at(name)[0].shape) for name in order}
        answers = walk.answers()[0]
    except (RuntimeError, ValueError, IndexError):
        return None
    found[""] = tuple(size for answer in answers for size in (*answer.shape, -1))
    return found

"""A network made to round as integer kernels do: put in, learnt, and settled.

Batch norms are taken into the layers before them: a runtime can do that to floats alone, and would
otherwise compute them in floats between the layers. A norm multiplies each channel by a number, and
a step of the channel's own is multiplied just so: rounding before and after are the same, as weights
lie around 0. So it is done in the end, when all is learnt. Weights learn before it, whose channels
are alike in size, as the steps of learning are of a size for all of a tensor.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from whet.optimize.network.rounding.grid import LEVELS, first_step
from whet.optimize.network.rounding.parts import (
    Int8Layer,
    Int8Values,
    LearningLayer,
    LearningValues,
)
from whet.optimize.network.rounding.places import Places
from whet.optimize.network.structure.modules import free_name
from whet.optimize.network.structure.net import Batches
from whet.optimize.network.structure.walk import Walk

__all__ = ["layers_in_int8", "put_in", "settle", "unrounded"]

_DRAWN = 4096  # values of each batch that tell a step
_WITHIN = 1 - 1e-6  # of what a clamp lets pass: the highest level lies below it in single precision


def put_in(
    module: fx.GraphModule, places: Places, batches: Batches, *, most: int, seed: int
) -> None:
    """Round weights and values, with steps that can be learnt; in place.

    Args:
        module: the network.
        places: of it.
        batches: inputs that tell the first steps.
        most: steps of a weight in either direction.
        seed: of which values are looked at.
    """
    first = _first(module, places, batches, seed)
    for path in places.layers:
        module.set_submodule(path, LearningLayer(module.get_submodule(path), most))
    nodes = {node.name: node for node in module.graph.nodes}
    for name, rounding in first.items():
        node = nodes[name]
        path = free_name(f"{name}_in_int8", {n for n, _ in module.named_modules()})
        module.add_submodule(path, rounding)
        with module.graph.inserting_after(_last_input(node)):
            new = module.graph.call_module(path, (node,))
        node.replace_all_uses_with(new, delete_user_cb=lambda user, new=new: _rounds(user, new))
        new.meta = dict(node.meta)
    module.recompile()


def settle(module: fx.GraphModule, keep: Collection[str]) -> None:
    """Leave integers where there was learning; in place.

    Args:
        module: from `put_in`.
        keep: names of values that must stay what they are.
    """
    callers: dict[str, list[fx.Node]] = {}
    for node in module.graph.find_nodes(op="call_module"):
        callers.setdefault(str(node.target), []).append(node)
    for path, nodes in callers.items():
        part = module.get_submodule(path)
        if isinstance(part, LearningValues):
            module.set_submodule(path, part.settled())
        elif isinstance(part, LearningLayer):
            behind = None if nodes[0].name in keep else _norm_behind(module, nodes, callers, part)
            norm = None if behind is None else module.get_submodule(str(behind.target))
            module.set_submodule(path, part.settled(norm))
            if behind is not None:  # which keeps its name, as it is what blocks hand on
                behind.target, behind.args = path, nodes[0].args
                module.graph.erase_node(nodes[0])
    module.delete_all_unused_submodules()
    module.recompile()
    module.eval()


def layers_in_int8(module: nn.Module) -> int:
    """How many layers hold integers."""
    return sum(isinstance(each, Int8Layer) for each in module.modules())


def unrounded(module: fx.GraphModule) -> fx.GraphModule:
    """The same network over the same weights, whose values aren't rounded."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(module.graph, {}))
    graph.set_codegen(module.graph._codegen)  # noqa: SLF001 - how the inputs are given
    found = fx.GraphModule(module, graph)
    for node in found.graph.find_nodes(op="call_module"):
        if isinstance(found.get_submodule(str(node.target)), Int8Values):
            node.replace_all_uses_with(node.args[0])
            found.graph.erase_node(node)
    found.recompile()
    return found


def _first(
    module: fx.GraphModule, places: Places, batches: Batches, seed: int
) -> dict[str, LearningValues]:
    """What rounds each value, with a first step."""
    walk, random = Walk(module, batches), torch.Generator().manual_seed(seed)
    found = {}
    for name, highest in places.values.items():
        step, zero = first_step(_some(walk.at(name), random))
        most = _WITHIN * highest / (LEVELS - zero)
        found[name] = LearningValues(min(step, most), zero, most)
    return found


def _some(values: Sequence[torch.Tensor], random: torch.Generator) -> torch.Tensor:
    """A draw of them, with the extremes of each batch."""
    drawn = []
    for each in values:
        flat = each.detach().flatten()
        drawn.append(flat[torch.randint(len(flat), (_DRAWN,), generator=random)])
        drawn.append(torch.stack([flat.min(), flat.max()]))
    return torch.cat(drawn)


def _last_input(node: fx.Node) -> fx.Node:
    """Where something may stand behind a value: not among the network's inputs."""
    if node.op != "placeholder":
        return node
    return next(reversed(node.graph.find_nodes(op="placeholder")))


def _rounds(user: fx.Node, new: fx.Node) -> bool:
    """Whether a value is rounded for what takes it: all but the network's answer do."""
    return user is not new and user.op != "output"


def _norm_behind(
    module: fx.GraphModule,
    nodes: Sequence[fx.Node],
    callers: dict[str, list[fx.Node]],
    part: LearningLayer,
) -> fx.Node | None:
    """The batch norm that takes all that a layer gives, and nothing else."""
    (first, *others), users = nodes, list(nodes[0].users)
    if others or len(users) != 1 or users[0].op != "call_module":
        return None
    norm = module.get_submodule(str(users[0].target))
    if not isinstance(norm, _BatchNorm) or len(callers[str(users[0].target)]) != 1:
        return None
    # Of a linear layer's answers, norms take the channels for what they are in matrices alone.
    flat = len(first.meta["tensor_meta"].shape) == len("NC")
    whole = norm.track_running_stats and (isinstance(part.layer, _ConvNd) or flat)
    return users[0] if whole else None

"""The last value that layers make: what comes behind it (softmax, normalisation) has no weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx, nn
from torch.utils._pytree import tree_flatten

from whet.errors import RequirementError
from whet.optimize.network.structure.modules import made_from, part_at

__all__ = ["has_weights", "last_value"]


def last_value(module: fx.GraphModule, refusal: Callable[[str], RequirementError]) -> fx.Node:
    """The first value behind all layers: what comes after it is made from it and of inputs alone.

    Args:
        module: from `whet.optimize.network.structure.layers.with_layers`.
        refusal: makes the error of a reason.

    Raises:
        RequirementError: it gives several outputs, or has no layers.
    """
    answers = [
        n for n in tree_flatten(module.graph.output_node().args)[0] if isinstance(n, fx.Node)
    ]
    if len(answers) != 1:
        raise refusal(f"it gives {len(answers)} outputs")
    order = list(module.graph.nodes)
    layers = [node for node in order if has_weights(module, node)]
    if not layers:
        raise refusal("it has no layers")
    for node in order[order.index(layers[-1]) :]:
        behind = made_from(answers[0], {node})
        if not any(each in layers for each in behind) and isinstance(
            node.meta.get("val"), torch.Tensor
        ):
            return node
    return answers[0]


def has_weights(module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether it is a layer, or takes a weight itself."""
    if node.op == "call_module":
        return True
    own = (part_at(module, str(n.target)) for n in node.all_input_nodes if n.op == "get_attr")
    return node.op == "call_function" and any(isinstance(each, nn.Parameter) for each in own)

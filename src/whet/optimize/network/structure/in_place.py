"""Operators that change a tensor in place, written so that they give a new one."""

from __future__ import annotations

import torch
from torch import fx

__all__ = ["pure"]


def pure(graph: fx.Graph) -> bool:
    """Replace operators that change their first argument by those that don't, where that is plain.

    It is where the tensor has memory of its own, and all that uses it comes later, so that nobody
    sees it unchanged or through a view.

    Returns:
        Whether none is left; otherwise the graph is of no use any more.
    """
    places = {node: place for place, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if not _changes(node):
            continue
        plain, changed = _plain(node.target), node.args[0]
        before = any(places[user] < places[node] for user in changed.users)
        if plain is None or before or not _own_memory(changed):
            return False
        node.target = plain
        changed.replace_all_uses_with(node, delete_user_cb=lambda user, node=node: user is not node)
    return True


def _changes(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def _plain(target: torch._ops.OpOverload) -> torch._ops.OpOverload | None:
    """``aten.relu_.default`` to ``aten.relu.default``."""
    name = target._schema.name.partition("::")[2]  # noqa: SLF001 - the only way to the name
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    return getattr(packet, target._overloadname, None)  # noqa: SLF001 - as above


def _own_memory(node: fx.Node) -> bool:
    """Whether a value is a new tensor, not the network's input or weight, nor a view of another."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and all(r.alias_info is None for r in schema.returns)

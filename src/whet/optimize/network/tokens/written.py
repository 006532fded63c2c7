"""A graph that is run while it is written, so that what is written next can go by what came out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any

from torch import fx, nn

from whet.optimize.network.structure.modules import free_name, over_parts, part_at

__all__ = ["Written"]


class Written:
    """A new graph over the layers of another, with what its values are on an example.

    Args:
        module: the other.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        self._module, self._graph = module, fx.Graph()
        self._run = fx.Interpreter(module, garbage_collect_values=False)
        # Values keep their names, so new ones take none of the other graph's.
        self._taken = {node.name for node in module.graph.nodes}
        self._parts: dict[str, nn.Module] = {}
        self.values: dict[fx.Node, Any] = {}

    def copy(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> fx.Node:
        """A node of the other graph with other arguments.

        Raises:
            RuntimeError, ValueError, IndexError, TypeError: it doesn't run; then it isn't written.
        """
        value = self._called(node.op, node.target, args, kwargs)
        return self._wrote(node.op, node.target, args, kwargs, value, node.name, node.meta)

    def given(self, node: fx.Node, value: object) -> fx.Node:
        """An input or a tensor of the other graph."""
        meta = node.meta
        return self._wrote(node.op, node.target, node.args, node.kwargs, value, node.name, meta)

    def call(self, function: Callable[..., Any], *args: object, **kwargs: object) -> fx.Node:
        """A function, named after what it is."""
        value = self._called("call_function", function, args, kwargs)
        name = f"tokens_{getattr(function, '__name__', 'value').partition('.')[0]}"
        return self._wrote("call_function", function, args, kwargs, value, self._free(name), {})

    def instead(self, node: fx.Node, function: Callable[..., Any], *args: object) -> fx.Node:
        """A function in the place of a node of the other graph, under its name."""
        value = self._called("call_function", function, args, {})
        return self._wrote("call_function", function, args, {}, value, node.name, node.meta)

    def part(self, name: str, part: nn.Module, *args: object) -> fx.Node:
        """A new layer."""
        path = free_name(name, {path for path, _ in self._module.named_modules()} | {*self._parts})
        self._parts[path] = part
        value = self._called("call_module", path, args, {})
        return self._wrote("call_module", path, args, {}, value, self._free(path), {})

    def item(self, of: fx.Node, place: int) -> fx.Node:
        """One of several values."""
        return self.call(operator.getitem, of, place)

    def forget(self, all_but: Collection[fx.Node]) -> None:
        """What values are that aren't needed any more."""
        self.values = {node: self.values[node] for node in all_but}

    def done(self) -> fx.GraphModule:
        """The network; its layers are the other's, and the new ones."""
        self._graph.set_codegen(self._module.graph._codegen)  # noqa: SLF001 - how inputs are given
        found = over_parts(
            self._graph, lambda path: self._parts.get(path, part_at(self._module, path))
        )
        found.graph.eliminate_dead_code()  # masks that aren't used any more
        found.delete_all_unused_submodules()
        found.recompile()
        return found

    def _free(self, name: str) -> str:
        name = free_name(name, self._taken)
        self._taken.add(name)
        return name

    def _called(self, op: str, target: Any, args: Any, kwargs: Any) -> Any:
        args, kwargs = fx.map_arg((args, kwargs), lambda n: self.values[n])
        if op == "call_module":
            return (self._parts.get(target) or self._module.get_submodule(target))(*args, **kwargs)
        if op == "output":
            return args[0]
        return getattr(self._run, op)(target, args, kwargs)

    def _wrote(
        self,
        op: str,
        target: Any,
        args: Any,
        kwargs: Any,
        value: Any,
        name: str,
        meta: dict[str, Any],
    ) -> fx.Node:
        node = self._graph.create_node(op, target, tuple(args), dict(kwargs), name=name)
        node.meta = dict(meta)
        self.values[node] = value
        return node

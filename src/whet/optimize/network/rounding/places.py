"""Which layers and values of a network are rounded, so that runtimes compute in integers.

A layer is computed in integers where what it takes is rounded as well as its weights, and it gives
integers where what it gives is rounded again. So rounded is what convolutions and linear layers take,
and what is added to what a convolution gives, with both of a residual's branches: between kernels
nothing then need be kept in floats. Each value is rounded once for all that take it.

What only moves values about (a reshape, a maximum of neighbours, zeros around the edge) gives the same
before and after rounding, so a value is rounded where it is made: behind a rectifier or a residual
addition, which the kernels of the layer before take in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from whet.core.note import Note

__all__ = ["Places", "able", "places_in"]

_aten = torch.ops.aten
_MOVES = frozenset(
    {
        *(_aten.max_pool1d.default, _aten.max_pool2d.default, _aten.max_pool3d.default),
        *(_aten.view.default, _aten.reshape.default, _aten.flatten.using_ints),
        *(_aten.permute.default, _aten.transpose.int, _aten.t.default, _aten.contiguous.default),
        *(_aten.squeeze.dim, _aten.squeeze.dims, _aten.unsqueeze.default, _aten.clone.default),
        *(_aten.slice.Tensor, _aten.expand.default, _aten.upsample_nearest2d.vec),
    }
)
_PADS = frozenset({_aten.pad.default, _aten.constant_pad_nd.default})
_BENDS = frozenset(
    {
        *(_aten.relu.default, _aten.clamp.default, _aten.clamp_min.default, _aten.relu6.default),
        *(_aten.hardtanh.default, _aten.silu.default, _aten.hardswish.default, _aten.gelu.default),
        *(_aten.leaky_relu.default, _aten.sigmoid.default, _aten.hardsigmoid.default),
    }
)
_CLAMPS = frozenset({_aten.hardtanh.default, _aten.clamp.default})


@dataclass(frozen=True)
class Places:
    """What is rounded.

    Attributes:
        layers: by their paths.
        values: by their names, in order; with the most that they can be, where that is known.
        notes: why layers with weights are left out.
    """

    layers: tuple[str, ...]
    values: dict[str, float]
    notes: tuple[Note, ...]


def able(module: fx.GraphModule) -> bool:
    """Whether there is any layer that could be rounded."""
    return any(_product(module, node) for node in module.graph.find_nodes(op="call_module"))


def places_in(module: fx.GraphModule, example: tuple[torch.Tensor, ...]) -> Places:
    """Where a network is to be rounded.

    Args:
        module: what its values are is noted in it.
        example: what it takes.
    """
    with torch.no_grad():
        ShapeProp(module).propagate(*example)
    layers, values, notes = dict[str, bool](), set[fx.Node](), list[Note]()
    for node in module.graph.find_nodes(op="call_module"):
        path = str(node.target)
        layer = module.get_submodule(path)
        if isinstance(layer, _ConvTransposeNd):
            notes.append(Note(path, "It stays in float: it convolves transposed."))
        elif _product(module, node):
            layers[path] = layers.get(path, True) and _can_be(node)
    for node in module.graph.find_nodes(op="call_module"):
        if layers.get(str(node.target)):
            values.add(_made(node.args[0]))
    for node in _sums(module, {path for path, fits in layers.items() if fits}):
        values.update(_made(each) for each in node.args)
    notes += [
        Note(path, "It stays in float: it takes no floats, or such as no layer made.")
        for path, fits in layers.items()
        if not fits
    ]
    ordered = {node.name: _highest(node) for node in module.graph.nodes if node in values}
    return Places(tuple(path for path, fits in layers.items() if fits), ordered, tuple(notes))


def _product(module: fx.GraphModule, node: fx.Node) -> bool:
    layer = module.get_submodule(str(node.target))
    return isinstance(layer, nn.Linear | _ConvNd) and not isinstance(layer, _ConvTransposeNd)


def _can_be(node: fx.Node) -> bool:
    given = node.args[0]
    return isinstance(given, fx.Node) and _is_float(given) and _made(given).op != "get_attr"


def _sums(module: fx.GraphModule, layers: set[str]) -> Iterator[fx.Node]:
    """Additions of two values of one shape, of which a rounded convolution gives one."""
    for node in module.graph.find_nodes(op="call_function", target=_aten.add.Tensor):
        both = node.args
        if all(isinstance(each, fx.Node) and _is_float(each) for each in both):
            shapes = {each.meta["tensor_meta"].shape for each in both}
            convolved = any(_is_convolved(module, each, layers) for each in both)
            if len(shapes) == 1 and convolved and not node.kwargs:
                yield node


def _is_convolved(module: fx.GraphModule, node: fx.Node, layers: set[str]) -> bool:
    """Whether a convolution makes a value, but for what its kernel takes in or the norm behind it."""
    while node.op == "call_module" or node.target in _BENDS or _moves(node):
        path = str(node.target)
        if node.op == "call_module" and not isinstance(module.get_submodule(path), _BatchNorm):
            return path in layers and isinstance(module.get_submodule(path), _ConvNd)
        node = node.args[0]
    return False


def _made(node: fx.Node) -> fx.Node:
    """The value whose numbers another one has, but in other places."""
    while _moves(node) and _is_float(node.args[0]):
        node = node.args[0]
    return node


def _moves(node: fx.Node) -> bool:
    if node.target in _PADS:  # with zeros, which are rounded to zeros
        return all(
            each in ("constant", None, 0) for each in (*node.args[2:], *node.kwargs.values())
        )
    return node.target in _MOVES


def _is_float(node: fx.Node) -> bool:
    seen = node.meta.get("tensor_meta")
    return seen is not None and getattr(seen, "dtype", None) is torch.float32


def _highest(node: fx.Node) -> float:
    """Where a clamp ends."""
    if node.target is _aten.relu6.default:
        return 6.0
    highest = node.args[2] if node.target in _CLAMPS and len(node.args) > 2 else None
    return float(highest) if isinstance(highest, int | float) else float("inf")

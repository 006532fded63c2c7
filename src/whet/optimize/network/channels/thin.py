"""Channels taken out of a network wherever they are: of layers, tensors and written sizes.

Which channels are one and the same is known beforehand (`whet.optimize.network.channels.groups`). What is
written into operators goes along: how many channels a padding adds, and the sizes of a reshape.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from whet.optimize.network.channels.groups import Channels, Shared
from whet.optimize.network.channels.probe import PADS
from whet.optimize.network.structure.modules import part_at

__all__ = ["staying", "thin"]

_aten = torch.ops.aten
_SIZED = frozenset({_aten.view.default, _aten.reshape.default, _aten.expand.default})
_SCALES = ("weight", "bias", "running_mean", "running_var")


def staying(ids: torch.Tensor, gone: Collection[int]) -> torch.Tensor:
    """Places of the channels that stay."""
    away = torch.tensor(sorted(gone), dtype=torch.long)
    return torch.isin(ids, away, invert=True).nonzero().flatten()


def thin(module: fx.GraphModule, shared: Shared, gone: Collection[int]) -> None:
    """Take channels out, in place.

    Args:
        module: the network, over weights of its own.
        shared: its channels.
        gone: numbers of those that go; none is fixed.
    """
    parts = ((shared.gives, _give_fewer), (shared.takes, _take_fewer), (shared.along, _scale_fewer))
    for paths, fewer in parts:
        for path, ids in paths.items():
            stay = staying(ids, gone)
            if len(stay) < len(ids):
                fewer(module.get_submodule(path), stay)
    for name, channels in shared.tensors.items():
        _keep_some(module, name, channels.axis, staying(channels.ids, gone))
    for node in module.graph.nodes:
        own = shared.values.get(node.name)
        if own is not None and node.target in PADS:
            _pad_less(node, own, shared.values[node.args[0].name], gone)
        elif own is not None and node.target in _SIZED:
            _resize(node, own, gone)
    module.recompile()


def _give_fewer(layer: nn.Module, stay: torch.Tensor) -> None:
    if isinstance(layer, nn.Embedding):
        _some(layer, "weight", stay, 1)
        layer.embedding_dim = len(stay)
        return
    _some(layer, "weight", stay)
    _some(layer, "bias", stay)
    _count(layer, "out_features", "out_channels", stay)


def _take_fewer(layer: nn.Module, stay: torch.Tensor) -> None:
    _some(layer, "weight", stay, 1)
    _count(layer, "in_features", "in_channels", stay)


def _scale_fewer(layer: nn.Module, stay: torch.Tensor) -> None:
    """A norm, or a depthwise convolution."""
    for name in _SCALES:
        _some(layer, name, stay)
    if isinstance(layer, _BatchNorm):
        layer.num_features = len(stay)
    elif isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = (len(stay),)
    else:
        layer.in_channels = layer.out_channels = layer.groups = len(stay)


def _some(layer: nn.Module, name: str, stay: torch.Tensor, axis: int = 0) -> None:
    tensor = getattr(layer, name, None)
    if tensor is not None:
        setattr(layer, name, _selected(tensor, axis, stay))


def _keep_some(module: nn.Module, name: str, axis: int, stay: torch.Tensor) -> None:
    path, _, last = name.rpartition(".")
    own = part_at(module, name)
    if isinstance(own, torch.Tensor) and len(stay) < own.shape[axis]:
        setattr(module.get_submodule(path), last, _selected(own, axis, stay))


def _selected(tensor: torch.Tensor, axis: int, stay: torch.Tensor) -> torch.Tensor:
    found = tensor.detach().index_select(axis, stay)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(found, tensor.requires_grad)
    return found


def _count(layer: nn.Module, linear: str, convolution: str, stay: torch.Tensor) -> None:
    setattr(layer, linear if isinstance(layer, nn.Linear) else convolution, len(stay))


def _pad_less(node: fx.Node, own: Channels, taken: Channels, gone: Collection[int]) -> None:
    """As many channels are added before and behind as stay of those that were."""
    widths, value = list(node.args[1]), node.args[0].meta["val"]
    at = 2 * (value.dim() - 1 - own.axis)  # widths are from the last axis on
    if at + 1 >= len(widths) or widths[at] < 0 or widths[at + 1] < 0:
        return
    front, behind = own.ids[: widths[at]], own.ids[widths[at] + len(taken.ids) :]
    widths[at : at + 2] = [len(staying(front, gone)), len(staying(behind, gone))]
    node.args = (node.args[0], widths, *node.args[2:])


def _resize(node: fx.Node, own: Channels, gone: Collection[int]) -> None:
    """A size that is the number of channels becomes that of those that stay."""
    sizes = list(node.args[1])
    if sizes[own.axis] == len(own.ids):
        sizes[own.axis] = len(staying(own.ids, gone))
        node.args = (node.args[0], sizes, *node.args[2:])

"""Layers put back into an exported program, so that what changes layers finds them.

An exported program is a list of operators over tensors. It is the one form that every network
comes to, whoever wrote it, but a convolution in it is a function of a tensor that lies elsewhere.
Here each operator with weights becomes a module again (`torch.nn.Conv2d`, `torch.nn.Linear` ...)
that holds them, under the name that they had; the operators between stay. What is got takes and
gives tensors as the program does, gives the same answers, and can be exported again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_flatten

from whet.errors import ExportError
from whet.optimize.network.structure.in_place import pure
from whet.optimize.network.structure.modules import free_name, part_at
from whet.optimize.quiet import quiet

__all__ = ["with_layers"]

_Given = Mapping[str, Any]
_Weights = Mapping[str, torch.Tensor]
_Make = Callable[[_Weights, _Given, fx.Node], nn.Module | None]
"""From weights, other arguments and the value that it takes to a layer without weights yet."""

_aten = torch.ops.aten
_TENSORS = ("weight", "bias", "running_mean", "running_var")
_STATISTICS = ("running_mean", "running_var")  # of these names in a module too; no parameters
# In evaluation they give what they take.
_IDLE = frozenset({_aten.dropout.default, _aten.alias.default, _aten.detach.default})
# They stop a program on inputs that it wasn't traced for, and give nothing.
_CHECKS = frozenset(
    {
        _aten._assert_scalar.default,  # noqa: SLF001 - an operator's own name
        _aten._assert_tensor_metadata.default,  # noqa: SLF001 - as above
        _aten.sym_constrain_range.default,
        _aten.sym_constrain_range_for_size.default,
    }
)
_NORM = _aten._native_batch_norm_legit_no_training.default  # noqa: SLF001 - as above


def with_layers(program: torch.export.ExportedProgram) -> fx.GraphModule:
    """The program as a graph whose operators with weights are modules again.

    Operators that change a tensor in place are written so that they don't. Layers that share
    weights go on sharing them.

    Args:
        program: of a network in evaluation mode; it stays as it is.

    Returns:
        A module of its own over the same weights; ``meta["val"]`` of a node has its shape.

    Raises:
        ExportError: tensors are changed in place in a way that can't be written without.
    """
    with quiet():
        module = program.module(check_guards=False)
        _thin(module.graph)
        if not pure(module.graph):
            # That writes sizes into the reshapes, so it is the second choice.
            module = _functional(program)
            _thin(module.graph)
    tensors = {n.target: part_at(module, n.target) for n in module.graph.find_nodes(op="get_attr")}
    made: dict[str, str] = {}
    for node in list(module.graph.nodes):
        if node.target in _MAKERS:
            _put_back(module, node, tensors, made)
    module.graph.eliminate_dead_code()
    _keep(module, tensors)
    # An exported module refuses to be trained or even put into evaluation; a plain one doesn't.
    found = fx.GraphModule(module, module.graph)
    found.delete_all_unused_submodules()
    return found.eval()


def _functional(program: torch.export.ExportedProgram) -> fx.GraphModule:
    """By torch's own means, which lose what is changed through a dropout that does nothing."""
    found = program.run_decompositions({}).module(check_guards=False)
    if program.example_inputs is None or not _alike(
        program.module(check_guards=False), found, *program.example_inputs
    ):
        raise ExportError(
            "The network changes tensors in place in a way that can't be written without.",
            "Write y = y + x for y += x, and nn.ReLU() for nn.ReLU(inplace=True).",
        )
    return found


def _alike(
    one: nn.Module, other: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> bool:
    """Whether both give the same answers to an example, which either may change."""
    with torch.no_grad():
        a, b = (tree_flatten(m(*deepcopy(args), **deepcopy(kwargs)))[0] for m in (one, other))
    return all(torch.allclose(x, y, 1e-4, 1e-4, True) for x, y in zip(a, b, strict=True))


def _thin(graph: fx.Graph) -> None:
    """Take out what gives nothing, or what it takes."""
    for node in list(graph.nodes):
        if node.target in _CHECKS:
            graph.erase_node(node)
        elif node.target in _IDLE and not _given(node).get("train", False):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _put_back(
    module: fx.GraphModule, node: fx.Node, tensors: _Weights, made: dict[str, str]
) -> None:
    """Put a layer in the place of an operator, where its weights are the network's own.

    Args:
        module: the network.
        node: of the operator.
        tensors: of the network, by name.
        made: names of the layers so far, by what they are.
    """
    given = _given(node)
    value = given.pop("indices", None) or given.pop("input")
    held = {name: given.pop(name) for name in _TENSORS if given.get(name) is not None}
    if not all(isinstance(w, fx.Node) and w.op == "get_attr" for w in held.values()):
        return
    names = {name: str(w.target) for name, w in held.items()}
    what = repr((str(node.target), names, sorted(given.items())))
    if what not in made:
        weights = {name: tensors[target] for name, target in names.items()}
        layer = _MAKERS[node.target](weights, given, value)
        if layer is None:
            return
        made[what] = _name(node, type(layer), next(iter(names.values())), set(made.values()))
        module.add_submodule(made[what], _holding(layer, weights))
    # Batch norm answers with statistics as well, which nothing uses in evaluation.
    old = next(iter(node.users)) if node.target is _NORM else node
    with module.graph.inserting_before(node):
        new = module.graph.call_module(made[what], (value,))
    new.meta = dict(old.meta)
    old.replace_all_uses_with(new)
    module.graph.erase_node(old)
    if old is not node:
        module.graph.erase_node(node)


def _given(node: fx.Node) -> dict[str, Any]:
    """An operator's arguments by the names of its schema."""
    arguments = node.target._schema.arguments  # noqa: SLF001 - no other way
    given = dict(zip((a.name for a in arguments), node.args, strict=False)) | node.kwargs
    return {a.name: given.get(a.name, a.default_value) for a in arguments}


def _name(node: fx.Node, kind: type[nn.Module], weight: str, taken: Collection[str]) -> str:
    """The name that a layer had, as far as it is known; one that no other layer has.

    Args:
        node: of the operator.
        kind: of the layer.
        weight: name of its first tensor.
        taken: names of the layers so far.
    """
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, made_by = stack[-1] if stack else ("", "")
    if kind.__name__ != str(made_by).rpartition(".")[2]:  # the user's own code over a weight
        path = re.sub(r"[._]?(weight|bias|running_mean)$", "", weight)
    return free_name(path or "layer", taken)


def _keep(module: fx.GraphModule, tensors: _Weights) -> None:
    """Give back to operators what lay in a module whose place a layer took."""
    for node in module.graph.find_nodes(op="get_attr"):
        tensor = tensors[str(node.target)]
        if part_at(module, str(node.target)) is tensor:
            continue
        node.target = str(node.target).replace(".", "_")
        if isinstance(tensor, nn.Parameter):
            module.register_parameter(node.target, tensor)
        else:
            module.register_buffer(node.target, tensor)


def _holding(layer: nn.Module, weights: _Weights) -> nn.Module:
    """The layer with the network's own tensors in it, not with copies."""
    for name, tensor in weights.items():
        if name in _STATISTICS:
            layer.register_buffer(name, tensor)
        else:
            held = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, False)
            layer.register_parameter(name, held)
    return layer.eval()


def _convolution(kind: type[nn.Module]) -> _Make:
    def make(weights: _Weights, given: _Given, _: fx.Node) -> nn.Module:
        first, second, *kernel = weights["weight"].shape
        sizes = {
            name: given[name] if isinstance(given[name], str) else _each(given[name], len(kernel))
            for name in ("stride", "padding", "dilation", "output_padding")
            if name in given
        }
        transposed = "output_padding" in given  # its weight is (in, out / groups, ...)
        channels = (first, second * given["groups"])
        layer: nn.Module = kind(
            *(channels if transposed else reversed(channels)),
            tuple(kernel),
            groups=given["groups"],
            bias="bias" in weights,
            device="meta",
            **sizes,
        )
        return layer

    return make


def _each(sizes: list[int] | int, axes: int) -> tuple[int, ...]:
    several = tuple(sizes) if isinstance(sizes, list | tuple) else (sizes,)
    return several * axes if len(several) == 1 else several


def _linear(weights: _Weights, _: _Given, __: fx.Node) -> nn.Module | None:
    if weights["weight"].dim() != 2:
        return None
    out, inside = weights["weight"].shape
    return nn.Linear(inside, out, bias="bias" in weights, device="meta")


def _batch_norm(weights: _Weights, given: _Given, value: fx.Node) -> nn.Module:
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
    layer = kinds[value.meta["val"].dim()](
        len(weights["running_mean"]),
        eps=given["eps"],
        momentum=given["momentum"],
        affine="weight" in weights,
        device="meta",
    )
    layer.num_batches_tracked = torch.zeros((), dtype=torch.long)
    return layer


def _layer_norm(weights: _Weights, given: _Given, _: fx.Node) -> nn.Module:
    shape, bias = tuple(given["normalized_shape"]), "bias" in weights
    return nn.LayerNorm(shape, given["eps"], "weight" in weights, bias=bias, device="meta")


def _group_norm(weights: _Weights, given: _Given, _: fx.Node) -> nn.Module | None:
    if "bias" not in weights:
        return None
    channels = len(weights["weight"])
    return nn.GroupNorm(given["num_groups"], channels, given["eps"], device="meta")


def _embedding(weights: _Weights, given: _Given, _: fx.Node) -> nn.Module:
    padding = given["padding_idx"] if given["padding_idx"] >= 0 else None
    return nn.Embedding(*weights["weight"].shape, padding_idx=padding, device="meta")


_MAKERS: dict[object, _Make] = {
    _aten.conv1d.default: _convolution(nn.Conv1d),
    _aten.conv1d.padding: _convolution(nn.Conv1d),
    _aten.conv2d.default: _convolution(nn.Conv2d),
    _aten.conv2d.padding: _convolution(nn.Conv2d),
    _aten.conv3d.default: _convolution(nn.Conv3d),
    _aten.conv3d.padding: _convolution(nn.Conv3d),
    _aten.conv_transpose1d.default: _convolution(nn.ConvTranspose1d),
    _aten.conv_transpose2d.input: _convolution(nn.ConvTranspose2d),
    _aten.conv_transpose3d.input: _convolution(nn.ConvTranspose3d),
    _aten.embedding.default: _embedding,
    _aten.group_norm.default: _group_norm,
    _aten.layer_norm.default: _layer_norm,
    _aten.linear.default: _linear,
    _aten.batch_norm.default: _batch_norm,
    _NORM: _batch_norm,
}

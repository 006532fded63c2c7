"""Students before they learn anything: which fit a network, and their graphs to be timed."""

from __future__ import annotations

import torch
from torch import nn

from whet.core.artifact import Artifact
from whet.core.context import Context
from whet.core.note import Note
from whet.optimize.network.structure.net import Net, batches_of
from whet.optimize.network.structure.walk import Walk
from whet.optimize.network.students.architectures import made, outlined
from whet.optimize.network.students.body import Body, body_of
from whet.optimize.network.students.zoo import FAMILIES, Sized, Student, students_of
from whet.optimize.network.substitute import substituted
from whet.optimize.network.to_graph import ToGraph
from whet.optimize.quiet import quiet

__all__ = ["fitting", "graph_of"]


def fitting(net: Net, ctx: Context) -> tuple[tuple[Sized, ...], tuple[Note, ...]]:
    """All students that can stand in a network's place, with their sizes, and why others can't.

    Args:
        net: the original.
        ctx: with samples.

    Raises:
        RequirementError: none can.
    """
    body = body_of(net.original, net.signature)
    batches = batches_of(ctx, net.signature, size=1, most=1)
    (values,) = Walk(net.original, batches).together(body.block.inputs)
    found: list[Sized] = []
    notes: list[Note] = []
    for name in (n for n, family in FAMILIES.items() if family.takes is body.takes):
        try:
            found += [_sized(student, body, values) for student in students_of(name)]
        except (ValueError, RuntimeError) as error:  # the library's own way of refusing sizes
            notes.append(Note(name, f"No student of this family can be made: {error}."))
    return tuple(found), tuple(notes)


def graph_of(net: Net, student: Student, ctx: Context) -> Artifact:
    """The graph of a student with random weights, which takes as long as any other weights.

    Args:
        net: the original.
        student: to stand in its place.
        ctx: with samples; the graph is written to its workdir.
    """
    body = body_of(net.original, net.signature)
    found = substituted(net, body, made(student, body, ctx.seed), ctx)
    return ToGraph().apply(found, ctx).model


def _macs_of(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Multiplications of convolutions and linear layers for some inputs, per row.

    It only ranks students of one family, so what attention multiplies is left out.
    """
    found = 0

    def count(layer: nn.Module, _: object, answer: torch.Tensor) -> None:
        nonlocal found
        found += answer.numel() * layer.weight[0].numel()

    hooks = [
        layer.register_forward_hook(count)
        for layer in module.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    with quiet(), torch.no_grad():
        module(*inputs)
    for hook in hooks:
        hook.remove()
    return found // len(inputs[0])


def _sized(student: Student, body: Body, values: tuple[torch.Tensor, ...]) -> Sized:
    module = outlined(student, body)
    weights = list(module.parameters())
    macs = _macs_of(module, tuple(value.to(weights[0].device) for value in values))
    return Sized(student, macs, sum(weight.numel() for weight in weights))

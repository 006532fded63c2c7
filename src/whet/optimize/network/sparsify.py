"""Weights made 0 one by one, and kept 0; the others make up for them.

`whet.optimize.network.fitting.sparse` says which go and how the others change. Layers are gone through in
order: each is first fitted to what the original's gives, from what it takes by then, so that it
makes up for the zeros before it as well. Shapes stay. Layers with zeros are remembered
(`Net.sparse`): what comes later changes none of their zeros (`whet.optimize.network.fitting.refit` scales
their outputs instead of fitting all weights, gradients don't reach zeros), and what would put
another layer in their place, or make them narrower, leaves them alone.

No runtime here multiplies less often by that, so the search doesn't try it. The graph gets smaller
where it is compressed, and hardware with 2:4 kernels may take it from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import nn

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, PostconditionError
from whet.optimize.network.fitting.products import FITTED, Sums
from whet.optimize.network.fitting.refit import fit
from whet.optimize.network.fitting.sparse import pruned
from whet.optimize.network.structure.modules import copied, part_at
from whet.optimize.network.structure.named import need_able
from whet.optimize.network.structure.net import Net, batches_of, samples_of
from whet.optimize.network.structure.pattern import Pattern, follows, spared
from whet.optimize.network.structure.walk import Walk

__all__ = ["Sparsify"]

_ROWS, _BATCH = 256, 16


@final
@dataclass(frozen=True)
class Sparsify(Pass[Net, Net]):
    """Make weights of linear layers and convolutions 0.

    Attributes:
        share: of each layer's weights that become 0, where they may lie anywhere.
        pattern: of the zeros; two of each four need no share.
        layers: names of those that are changed; all by default.

    Raises:
        OptionError: a share that leaves nothing or all as it is, or a share beside two of four.
    """

    name: ClassVar[str] = "sparsify"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    share: float = 0.0
    pattern: Pattern = Pattern.ANY
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.pattern not in set(Pattern):
            raise OptionError(
                f"The pattern '{self.pattern}' isn't defined.", f"Give {' or '.join(Pattern)}."
            )
        object.__setattr__(self, "pattern", Pattern(self.pattern))  # a plain "2:4" will do
        anywhere = self.pattern is Pattern.ANY
        if not 0 <= self.share < 1 or bool(self.share) != anywhere:
            raise OptionError(
                f"A share of {self.share:g} with the pattern '{self.pattern}' isn't defined.",
                "Give a share between 0 and 1, or the pattern '2:4' without one.",
            )

    def requires(self, model: Net, ctx: Context) -> None:
        model.need_own_layers()
        samples_of(ctx)
        able, notes = _able(model, self.pattern)
        need_able(self.layers, able, notes, cant="be sparse", kind="linear layer or convolution")

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        able, notes = _able(model, self.pattern)
        wanted = [name for name in able if not self.layers or name in self.layers]
        if not wanted:
            return PassResult(model, False, notes)
        sparse = {**model.sparse, **dict.fromkeys(wanted, self.pattern)}
        found = replace(model, module=copied(model.module), sparse=sparse)
        batches = batches_of(ctx, model.signature, size=_BATCH, most=_ROWS)
        own, its = Walk(found.module, batches), Walk(model.original, batches)
        answers = {str(n.target): n.name for n in model.original.graph.nodes if n.op != "output"}
        for node in found.module.graph.find_nodes(op="call_module"):
            name = str(node.target)
            if name not in wanted:
                continue
            sums, kept = Sums(found.module.get_submodule(name), ctx.seed), model.kept.get(name)
            axis = -1 if isinstance(sums.layer, nn.Linear) else 1
            pairs = zip(own.at(node.args[0].name), its.at(answers[name]), strict=True)
            for taken, answer in pairs:
                sums.see(taken, answer if kept is None else answer.index_select(axis, kept))
            fit(name, sums)
            _make_sparse(sums, self.pattern, self.share)
        return PassResult(found, True, notes)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # weights say it
        for name, pattern in model.sparse.items():
            layer = part_at(model.module, name)
            if isinstance(layer, FITTED) and not follows(layer.weight, pattern):
                raise PostconditionError(
                    f"The zeros of '{name}' don't lie as they should.",
                    "Report this with the network.",
                )


def _able(net: Net, pattern: Pattern) -> tuple[tuple[str, ...], tuple[Note, ...]]:
    """Layers of the original that can be sparse, in order, and why others can't."""
    nodes = [str(node.target) for node in net.module.graph.find_nodes(op="call_module")]
    found, notes = list[str](), list[Note]()
    for name in dict.fromkeys(nodes):
        layer = part_at(net.module, name)
        if not isinstance(layer, FITTED):
            continue
        if part_at(net.original, name) is None:
            notes.append(Note(name, "It stays dense: the original has no such layer."))
        elif nodes.count(name) > 1:
            notes.append(Note(name, "It stays dense: it is used in several places."))
        elif name in net.sparse:
            notes.append(Note(name, "It stays as it is: it is sparse already."))
        elif getattr(layer, "transposed", False):
            notes.append(Note(name, "It stays dense: it convolves transposed."))
        elif reason := spared(layer.weight, pattern):
            notes.append(Note(name, reason))
        else:
            found.append(name)
    return tuple(found), tuple(notes)


def _make_sparse(sums: Sums, pattern: Pattern, share: float) -> None:
    """Put the best sparse weights into a layer."""
    weight = sums.layer.weight
    wide = weight[0].numel()
    # Neighbours are channels at one place of the kernel.
    order = torch.arange(wide).view(weight.shape[1], -1).T.flatten()
    order = torch.cat([order, torch.arange(wide, wide + (sums.layer.bias is not None))])
    back = torch.argsort(order)
    found = [
        pruned(own[order], products[order][:, order], pattern, share, wide)[back]
        for own, products in zip(sums.weights(), sums.whole().inputs, strict=True)
    ]
    sums.put(torch.stack(found))

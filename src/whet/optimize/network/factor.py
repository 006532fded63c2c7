"""Layers replaced by low-rank pairs: two layers over few channels in the place of one.

Where what a layer answers varies along few axes, two smaller layers give nearly the same with
fewer multiplications (`whet.optimize.network.fitting.low_rank` says which two, `whet.optimize.network.fitting.pairs`
how they are put in). What the original answers to unlabelled samples is enough. Both can be fitted
anew by `whet.optimize.network.repair`, after other changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

from torch import nn

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, RequirementError
from whet.optimize.network.fitting.low_rank import full_rank, most_rank, paired
from whet.optimize.network.fitting.pairs import check_pairs, replaceable, with_pairs
from whet.optimize.network.fitting.products import Spread
from whet.optimize.network.structure.named import need_able
from whet.optimize.network.structure.net import Net, batches_of, samples_of
from whet.optimize.network.structure.walk import Walk

__all__ = ["Factor", "factored", "layers_in", "spreads_of"]

_ROWS, _BATCH = 256, 16


@final
@dataclass(frozen=True)
class Factor(Pass[Net, Net]):
    """Replace linear layers and convolutions by low-rank pairs.

    Attributes:
        share: of each layer's full rank that goes; a layer whose pair would multiply as often as
            it does stays whole.
        ranks: that stay, by the name of a layer; takes the place of ``share``.

    Raises:
        OptionError: a share that leaves nothing, a rank below 1, or neither option.
    """

    name: ClassVar[str] = "factor"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    share: float = 0.0
    ranks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        few = min(self.ranks.values(), default=1) < 1
        if not 0 <= self.share < 1 or bool(self.ranks) == bool(self.share) or few:
            raise OptionError(
                f"A share of {self.share:g} beside {len(self.ranks)} ranks factors nothing.",
                "Give either a share between 0 and 1, or the ranks of some layers, 1 or more.",
            )

    def requires(self, model: Net, ctx: Context) -> None:
        model.need_own_layers()
        samples_of(ctx)
        layers, notes = layers_in(model)
        need_able(self.ranks, layers, notes, cant="be factored", kind="linear layer or convolution")
        for name, rank in self.ranks.items():
            if rank > layers[name]:
                raise RequirementError(
                    _as_often(f"'{name}'", rank), _below(layers[name], "Give", "Leave it out.")
                )

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        layers, notes = layers_in(model)
        ranks = self.ranks
        if not ranks:
            full = {name: full_rank(model.module.get_submodule(name)) for name in layers}
            wanted = {n: max(1, round(rank * (1 - self.share))) for n, rank in full.items()}
            ranks = {name: rank for name, rank in wanted.items() if rank <= layers[name]}
            notes += tuple(
                Note(name, _as_often("It", rank))
                for name, rank in wanted.items()
                if name not in ranks
            )
        if not ranks:
            return PassResult(model, False, notes)
        return PassResult(factored(model, ranks, spreads_of(model, ranks, ctx)), True, notes)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # layers say it
        check_pairs(model)


def layers_in(net: Net) -> tuple[dict[str, int], tuple[Note, ...]]:
    """Layers that can be factored with the highest rank that saves anything, and why others can't.

    Layers that aren't the original's (a bridge) are neither.

    Args:
        net: as it is by now.
    """
    found, notes = replaceable(net, _whole)
    return {name: most_rank(net.module.get_submodule(name)) for name in found}, notes


def _whole(layer: nn.Module) -> str | None:
    """Why a layer can't be factored."""
    if getattr(layer, "groups", 1) > 1 or getattr(layer, "transposed", False):
        return "It stays whole: it convolves by groups, or transposed."
    return None if most_rank(layer) else _as_often("It", 1)


def spreads_of(net: Net, layers: Collection[str], ctx: Context) -> dict[str, Spread]:
    """How what the original's layers answer varies, by their names.

    Args:
        net: whose original is asked.
        layers: some of `layers_in`.
        ctx: with samples.

    Raises:
        RequirementError: there are no samples.
    """
    walk = Walk(net.original, batches_of(ctx, net.signature, size=_BATCH, most=_ROWS))
    found: dict[str, Spread] = {}
    for node in net.original.graph.find_nodes(op="call_module"):
        name = str(node.target)
        if name in layers:
            found[name] = Spread(net.original.get_submodule(name), ctx.seed)
            for answer in walk.at(node.name):
                found[name].see(answer)
    return found


def factored(net: Net, ranks: Mapping[str, int], spreads: Mapping[str, Spread]) -> Net:
    """The network with pairs in the places of some layers.

    Args:
        net: it stays as it is.
        ranks: between the two, by layer; at most what `layers_in` says.
        spreads: see `spreads_of`.
    """
    made = {}
    for name, rank in ranks.items():
        spread, kept = spreads[name], net.kept.get(name)
        own = spread if kept is None else spread.some(kept)
        made[name] = paired(net.module.get_submodule(name), own, rank)
    return with_pairs(net, made, "low")


def _as_often(what: str, rank: int) -> str:
    return f"{what} stays whole: at rank {rank}, a pair would multiply as often."


def _below(most: int, verb: str, otherwise: str) -> str:
    return f"{verb} a rank of at most {most}." if most else otherwise

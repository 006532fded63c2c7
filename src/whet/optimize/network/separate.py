"""Convolutions replaced by separable pairs: kernels over single channels, then a 1x1 over all.

A convolution's kernels are often few in kind for each channel that it takes; then one or a few over
that channel alone, mixed afterwards, give nearly the same with fewer multiplications
(`whet.optimize.network.fitting.separable` says which, `whet.optimize.network.fitting.pairs` how they are put in).
They are told by what the convolution takes by now and what the original's answers to unlabelled
samples, so that they make up for what was changed before. After later changes,
`whet.optimize.network.repair` fits the 1x1 anew; the kernels before it stay.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import ClassVar, final

from torch import nn

from whet.core.context import Context
from whet.core.note import Note
from whet.core.passes import Pass, PassResult, Stage
from whet.errors import OptionError, RequirementError
from whet.optimize.network.fitting.pairs import check_pairs, replaceable, with_pairs
from whet.optimize.network.fitting.products import FITTED, Sums
from whet.optimize.network.fitting.separable import most_multiplier, separated
from whet.optimize.network.structure.named import need_able
from whet.optimize.network.structure.net import Net, batches_of, samples_of
from whet.optimize.network.structure.walk import Walk

__all__ = ["Separate", "convolutions_in", "separable_pairs", "separate"]

_ROWS, _BATCH = 256, 16

Made = Mapping[tuple[str, int], tuple[FITTED, FITTED]]
"""The two layers by the name of the one in whose place they come, and the multiplier."""


@final
@dataclass(frozen=True)
class Separate(Pass[Net, Net]):
    """Replace convolutions by separable pairs.

    Attributes:
        multiplier: kernels for each channel that a convolution takes; one whose pair would multiply
            as often as it does stays whole. 0 where ``layers`` says it.
        layers: the multiplier by the name of a layer; takes the place of ``multiplier``.

    Raises:
        OptionError: a multiplier below 1, or neither option, or both.
    """

    name: ClassVar[str] = "separate"
    takes: ClassVar[Stage] = Stage.NETWORK
    gives: ClassVar[Stage] = Stage.NETWORK
    multiplier: int = 0
    layers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        few = min(self.layers.values(), default=1) < 1
        if self.multiplier < 0 or bool(self.layers) == bool(self.multiplier) or few:
            raise OptionError(
                f"A multiplier of {self.multiplier} beside {len(self.layers)} layers separates"
                " nothing.",
                "Give either a multiplier for all convolutions, or those of some; 1 or more.",
            )

    def requires(self, model: Net, ctx: Context) -> None:
        model.need_own_layers()
        samples_of(ctx)
        layers, notes = convolutions_in(model)
        need_able(self.layers, layers, notes, cant="be separated", kind="convolution")
        for name, multiplier in self.layers.items():
            if multiplier > layers[name]:
                raise RequirementError(
                    _as_often(f"'{name}'", multiplier),
                    f"Give a multiplier of at most {layers[name]}.",
                )

    def apply(self, model: Net, ctx: Context) -> PassResult[Net]:
        layers, notes = convolutions_in(model)
        wanted = self.layers
        if not wanted:
            wanted = {n: self.multiplier for n, most in layers.items() if self.multiplier <= most}
            notes += tuple(
                Note(name, _as_often("It", self.multiplier))
                for name in layers
                if name not in wanted
            )
        if not wanted:
            return PassResult(model, False, notes)
        made = separable_pairs(model, {name: (m,) for name, m in wanted.items()}, ctx)
        return PassResult(separate(model, wanted, made), True, notes)

    def ensures(self, model: Net, ctx: Context) -> None:  # noqa: ARG002  # layers say it
        check_pairs(model)


def convolutions_in(net: Net) -> tuple[dict[str, int], tuple[Note, ...]]:
    """Convolutions that can be separated with the highest multiplier that saves anything.

    Args:
        net: as it is by now.

    Returns:
        Those, and why others can't.
    """
    found, notes = replaceable(net, _whole)
    return {name: most_multiplier(net.module.get_submodule(name)) for name in found}, notes


def separable_pairs(net: Net, wanted: Mapping[str, Collection[int]], ctx: Context) -> Made:
    """The pairs for some convolutions, each for one or several multipliers.

    Args:
        net: as it is by now; it stays so.
        wanted: multipliers, by layer; at most what `convolutions_in` says.
        ctx: with samples.

    Raises:
        RequirementError: there are no samples.
    """
    batches = batches_of(ctx, net.signature, size=_BATCH, most=_ROWS)
    own, its = Walk(net.module, batches), Walk(net.original, batches)
    found: dict[tuple[str, int], tuple[FITTED, FITTED]] = {}
    answers = {str(n.target): n.name for n in net.original.graph.find_nodes(op="call_module")}
    for node in net.module.graph.find_nodes(op="call_module"):
        name = str(node.target)
        if name not in wanted:
            continue
        layer, kept = _biased(net.module.get_submodule(name)), net.kept.get(name)
        sums = Sums(layer, ctx.seed)
        for taken, answer in zip(own.at(node.args[0].name), its.at(answers[name]), strict=True):
            sums.see(taken, answer if kept is None else answer.index_select(1, kept))
        for multiplier in wanted[name]:
            found[name, multiplier] = separated(layer, sums.whole(), multiplier)
    return found


def separate(net: Net, multipliers: Mapping[str, int], made: Made) -> Net:
    """The network with separable pairs in the places of some convolutions.

    Args:
        net: it stays as it is.
        multipliers: by layer.
        made: see `separable_pairs`.
    """
    pairs = {name: deepcopy(made[name, many]) for name, many in multipliers.items()}
    return with_pairs(net, pairs, "each")


def _biased(layer: nn.Module) -> nn.Module:
    """The same with a bias, so that means are seen too."""
    if layer.bias is None:
        layer = deepcopy(layer)
        layer.bias = nn.Parameter(layer.weight.new_zeros(len(layer.weight)), requires_grad=False)
    found: nn.Module = layer
    return found


def _whole(layer: nn.Module) -> str | None:
    """Why a layer can't be separated."""
    if isinstance(layer, nn.Linear):
        return "It stays whole: it is no convolution."
    if getattr(layer, "transposed", False):
        return "It stays whole: it convolves transposed."
    return None if most_multiplier(layer) else _as_often("It", 1)


def _as_often(what: str, multiplier: int) -> str:
    several = f"{multiplier} kernels" if multiplier > 1 else "1 kernel"
    return f"{what} stays whole: with {several} for each channel it would multiply as often."

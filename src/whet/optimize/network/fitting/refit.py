"""Weights of layers fitted in closed form to what the original's layers give, without labels.

Theory of operation. A layer whose input was changed (fewer channels, rougher values) should give
what the original's layer of that name gives, on the same samples. Both are linear in the weights,
so the best ones are those of least squares: with x a patch of the layer's input now (and a 1 where
it has a bias), t the original's answer at that place, and X, T their rows over all samples,

    W = (X'X + r I)^-1 (X'T + r W_old),   pulled towards the old weights by r, a share of X'X's mean.

How hard to pull is told by fitting on half of the batches and looking at the other half: with few
samples, wide layers would otherwise learn them by heart.

It is the update of second-order pruning, over a whole layer at once (OBC; Frantar and Alistarh
2022), and FSKD's where the layer is a 1x1 convolution (Li et al. 2020).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn

from whet.errors import RequirementError
from whet.optimize.network.fitting.low_rank import before
from whet.optimize.network.fitting.products import WIDE, Half, Sums
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.walk import Walk

__all__ = ["Fit", "fit", "refitted"]

# Pulls to choose from, as shares of the mean square of what a weight is multiplied with.
_RIDGES = (1e-4, 1e-2, 1e-1, 1.0)

Inputs = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Fit:
    """What fitting a layer did to its error, as a share of the original's answers' mean square."""

    layer: str
    before: float
    after: float


def refitted(
    module: fx.GraphModule,
    original: fx.GraphModule,
    batches: Sequence[tuple[Inputs, Inputs]],
    layers: Sequence[str],
    *,
    kept: Mapping[str, torch.Tensor] | None = None,
    pairs: Mapping[str, str] | None = None,
    sparse: Collection[str] = (),
    ridge: float | None = None,
    seed: int = 0,
) -> tuple[fx.GraphModule, tuple[Fit, ...]]:
    """A copy whose named layers give as nearly as they can what the original's give.

    Each is fitted to what it takes once those before it are.

    Args:
        module: the changed network, or a part of one; it stays as it is.
        original: what it was made from. Layers follow those of the same names in it; one that it
            hasn't follows what it answers.
        batches: the samples: inputs of the changed network, and of the original.
        layers: names of linear layers and convolutions, in the order in which the network runs
            them.
        kept: the original's output channels that a layer still has, by its name; all by default.
        pairs: second layers of low-rank pairs, by the first's name. The first follows what the
            second has to take to give what the original's layer gives.
        sparse: layers whose zeros stay: only their outputs are scaled, and their bias fitted.
        ridge: pull towards the weights as they are; by default the one that does best on samples
            that it wasn't fitted to.
        seed: of the places that are looked at.

    Raises:
        RequirementError: a layer of another kind was named.
    """
    found, fits = copied(module), list[Fit]()
    sums = [Sums(found.get_submodule(name), seed) for name in layers]
    walk = Walk(found, [own for own, _ in batches])
    follows = [(pairs or {}).get(name, name) for name in layers]
    wanted = _answers(original, [its for _, its in batches], follows)
    for name, its, each in zip(layers, follows, sums, strict=True):
        for taken, answer in zip(walk.at(_taken(found, name)), wanted[its], strict=True):
            given = _some(answer, each.layer, (kept or {}).get(its))
            each.see(taken, given if its == name else before(found.get_submodule(its), given))
        fits.append(_scaled(name, each) if name in sparse else fit(name, each, ridge))
    return found, tuple(fits)


def _taken(module: fx.GraphModule, layer: str) -> str:
    """The value that a layer takes, which may lie in the module of a gap."""
    for node in module.graph.find_nodes(op="call_module"):
        if layer == node.target or layer.startswith(f"{node.target}."):
            return str(node.args[0].name)
    raise RequirementError(f"Nothing calls '{layer}'.", "Name a layer of the network.")


def _answers(
    original: fx.GraphModule, batches: Sequence[Inputs], layers: Sequence[str]
) -> dict[str, list[torch.Tensor]]:
    """What the original's layers answer, or all of it in place of a layer that it hasn't."""
    walk, found = Walk(original, batches), dict[str, list[torch.Tensor]]()
    for node in original.graph.find_nodes(op="call_module"):
        if node.target in layers:
            found[str(node.target)] = walk.at(node.name)
    if len(found) < len({*layers}):
        whole = [answer[0] for answer in walk.answers()]
        found |= {name: whole for name in layers if name not in found}
    return found


def _some(answer: torch.Tensor, layer: nn.Module, channels: torch.Tensor | None) -> torch.Tensor:
    """The channels of the original's answer that a layer still has."""
    axis = -1 if isinstance(layer, nn.Linear) else 1
    return answer if channels is None else answer.index_select(axis, channels)


def fit(name: str, sums: Sums, ridge: float | None = None) -> Fit:
    """Put the best weights into the layer of some sums.

    Args:
        name: of it.
        sums: over what it takes and should give.
        ridge: as for `refitted`.
    """
    old, whole = sums.weights(), sums.whole()
    pull = _best_pull(sums, old) if ridge is None else ridge
    new = old if pull is None else _pulled(whole, old, pull)
    sums.put(new)
    return Fit(name, whole.error(old), whole.error(new))


def _scaled(name: str, sums: Sums) -> Fit:
    """Put weights into a layer of which each output is the old one times a number, and a bias.

    The old ones stay where the new ones do no better on samples that they weren't fitted to.
    """
    old, whole = sums.weights(), sums.whole()
    one, other = sums.halves
    bias = sums.layer.bias is not None
    apart = other.error(_times(one, old, bias=bias)) + one.error(_times(other, old, bias=bias))
    better = not (one.squares and other.squares) or apart < one.error(old) + other.error(old)
    new = _times(whole, old, bias=bias) if better else old
    sums.put(new)
    return Fit(name, whole.error(old), whole.error(new))


def _times(half: Half, old: torch.Tensor, *, bias: bool) -> torch.Tensor:
    """The best scale of each output, and the best bias to it."""
    plain = old.clone()
    if bias:
        plain[:, -1] = 0
    own = half.inputs @ plain
    squares, both = (plain * own).sum(1), (plain * half.answers).sum(1)  # (groups, tall)
    if not bias:
        scale = both / squares.clamp_min(1e-30)
        return torch.where((squares > 0)[:, None], scale[:, None] * plain, old)
    rows = half.inputs[:, -1, -1:].clamp_min(1.0)
    mean, wanted = own[:, -1] / rows, half.answers[:, -1] / rows
    varied = squares - rows * mean.square()
    scale = (both - rows * mean * wanted) / varied.clamp_min(1e-30)
    scale = torch.where(varied > 1e-9 * squares.clamp_min(1e-30), scale, 1.0)
    found = scale[:, None] * plain
    found[:, -1] = wanted - scale * mean
    return found


def _best_pull(sums: Sums, old: torch.Tensor) -> float | None:
    """The pull whose weights, fitted on one half, do best on the other; ``None``: the old ones."""
    one, other = sums.halves
    if not (one.squares and other.squares):
        return _RIDGES[0]
    errors: dict[float | None, float] = {None: one.error(old) + other.error(old)}
    for pull in _RIDGES:
        fitted = [_pulled(half, old, pull) for half in (one, other)]
        errors[pull] = other.error(fitted[0]) + one.error(fitted[1])
    return min(errors, key=errors.__getitem__)


def _pulled(half: Half, old: torch.Tensor, ridge: float) -> torch.Tensor:
    """The weights of least squares, pulled towards the old ones."""
    pull = ridge * half.inputs.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-30)
    matrix = half.inputs + torch.diag_embed(pull[:, None].expand(-1, half.inputs.shape[1]))
    wanted = half.answers + pull[:, None, None] * old
    if len(old[0]) > WIDE and ridge:  # the pull keeps it well enough conditioned
        factor = torch.linalg.cholesky_ex(matrix.float())
        if not factor.info.any():
            return torch.cholesky_solve(wanted.float(), factor.L).double()
    return torch.linalg.solve(matrix, wanted)

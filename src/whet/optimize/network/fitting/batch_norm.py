"""Batch norms adapted to what a changed network gives them, by unlabelled samples.

A network that was changed gives other values to its batch norms than those whose means and
variances they hold. To take them from samples again is the cheapest repair there is, and often most
of it (Wang et al. 2022, "Practical network acceleration with tiny sets"). Here they are set such
that each channel of what a norm answers has the mean and the variance that it has in the original,
on the same samples:

    var' + eps = (var + eps) v'/v,   mean' = m' - (m - mean) sqrt((var' + eps) / (var + eps))

with m, v those of what the original's norm takes and m', v' those of what it takes now. Where the
norm holds just m and v, these are m' and v'. But what chance puts into few samples falls out, as
both networks see the same ones; and norms into which something else was folded stay right.

A network of random weights has no original to answer as: it takes them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import fx
from torch.nn.modules.batchnorm import _BatchNorm

from whet.errors import SamplesError
from whet.optimize.network.structure.modules import copied
from whet.optimize.network.structure.walk import Walk

__all__ = ["with_new_statistics", "with_same_statistics"]


def with_new_statistics(
    module: fx.GraphModule, batches: Iterable[tuple[torch.Tensor, ...]]
) -> fx.GraphModule:
    """A copy whose batch norms hold the means and variances that these samples give them.

    Every batch counts alike, so the batches should be of one size; a few hundred rows are enough.
    A network without batch norm comes back as it is.

    Args:
        module: in evaluation mode; it stays as it is.
        batches: inputs in order; each of more rows than one.

    Raises:
        SamplesError: there is no batch, or one of a single row that a norm can't take.
    """
    found = copied(module)
    norms = [m for m in found.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return found
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    with torch.no_grad():
        for batch in batches:
            _run(found, batch)
    if not norms[0].num_batches_tracked:
        raise SamplesError("There are no samples to estimate statistics from.", "Give some.")
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
        norm.eval()
    return found


def _run(module: fx.GraphModule, batch: tuple[torch.Tensor, ...]) -> None:
    try:
        module(*batch)
    except ValueError as error:  # "Expected more than 1 value per channel when training"
        raise SamplesError(
            f"A batch of {len(batch[0])} row(s) tells no variance.", "Give larger batches."
        ) from error


def with_same_statistics(
    module: fx.GraphModule, original: fx.GraphModule, batches: Sequence[tuple[torch.Tensor, ...]]
) -> fx.GraphModule:
    """A copy whose batch norms answer with the means and variances of the original's.

    Each is set to what it takes once those before it are. A network without batch norm comes back
    as it is.

    Args:
        module: in evaluation mode; it stays as it is.
        original: with values and norms of the same names, of the same channels.
        batches: inputs in order; a hundred rows are enough where maps are large.

    Raises:
        SamplesError: there is no batch.
    """
    if not batches:
        raise SamplesError("There are no samples to estimate statistics from.", "Give some.")
    found = copied(module)
    own, its = Walk(found, batches), Walk(original, batches)
    for node in found.graph.find_nodes(op="call_module"):
        norm = found.get_submodule(node.target)
        if isinstance(norm, _BatchNorm) and norm.track_running_stats:
            taken = str(node.args[0].name)
            _match(norm, _moments(own.at(taken)), _moments(its.at(taken)))
    return found


def _moments(values: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel."""
    each = [torch.var_mean(v.double().transpose(0, 1).flatten(1), 1, correction=0) for v in values]
    means = torch.stack([mean for _, mean in each])
    variances = torch.stack([variance for variance, _ in each])
    mean = means.mean(0)
    return mean, (variances + means.square()).mean(0) - mean.square()


def _match(
    norm: _BatchNorm,
    own: tuple[torch.Tensor, torch.Tensor],
    its: tuple[torch.Tensor, torch.Tensor],
) -> None:
    (mean, variance), (was, varied) = own, its
    alive = (variance > 0) & (varied > 0)  # a channel that never changes has no scale
    ratio = torch.where(alive, variance / varied.clamp_min(1e-300), torch.ones_like(varied))
    new = ((norm.running_var + norm.eps) * ratio - norm.eps).clamp_min(0)
    scale = ((new + norm.eps) / (norm.running_var + norm.eps)).sqrt()
    norm.running_mean.copy_(mean - (was - norm.running_mean) * scale)
    norm.running_var.copy_(new)

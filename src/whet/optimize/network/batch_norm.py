"""Batch norm's statistics, estimated anew from unlabelled samples.

A network that was changed gives other values to its batch norms than those it was trained with,
whose means and variances they still hold. To take them from samples again is the cheapest repair
there is, and often most of it (Wang et al. 2022, "Practical network acceleration with tiny sets").
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import fx
from torch.nn.modules.batchnorm import _BatchNorm

from whet.errors import SamplesError
from whet.optimize.network.modules import copied

__all__ = ["with_new_statistics"]


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

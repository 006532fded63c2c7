"""What a candidate takes: the race's figures, with what is known of the network; pure."""

from __future__ import annotations

import msgspec

from whet.core.evidence import Footprint, Latency, Trial
from whet.measure.roofline import ceiling_share
from whet.search.jobs import Made
from whet.search.naming import kind_of
from whet.search.setup import Setup

__all__ = ["complete"]


def complete(
    setup: Setup, trial: Trial, made: Made, latency: Latency, measured: Footprint
) -> Footprint:
    """Add parameters, operations and the share of this machine's ceiling.

    The size on disk is that of the files that a bundle will hold, not of the
    compiled engine in the cache.

    Raises:
        MeasurementError: the latency is below what this machine can do at all.
    """
    precision = _precision(trial)
    point = latency.at(50.0)
    share = None
    if point is not None:
        share = ceiling_share(
            setup.macs * setup.contract.batch, point.value_ms, setup.machine.ceilings, precision
        )
    return msgspec.structs.replace(
        measured,
        disk_bytes=made.graph.size_bytes(),
        parameters=setup.parameters,
        macs=setup.macs,
        bytes_moved=setup.bytes_moved,
        ceiling_share=share,
    )


def _precision(trial: Trial) -> str:
    """The fastest arithmetic that the candidate may use, which sets its ceiling."""
    kind = kind_of(trial.recipe.steps, trial.recipe.settings.precision)
    if kind.startswith("int8"):
        return "int8"
    return "bf16" if "bf16" in kind else "fp32"

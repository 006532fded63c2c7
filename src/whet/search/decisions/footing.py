"""What a candidate takes: the race's figures, with what is known of its graph; pure."""

from __future__ import annotations

import msgspec

from whet.core.evidence import Footprint, Latency, Trial
from whet.core.note import Note
from whet.core.recipe import Recipe
from whet.core.settings import Precision
from whet.measure.roofline import ceiling_share, top_precision
from whet.optimize.graph.traffic import Traffic
from whet.search.decisions.figures import query_ms
from whet.search.setup import Setup
from whet.search.workers.built import Counts
from whet.search.workers.jobs import Made

__all__ = ["arithmetic_of", "complete", "counts_of", "moved_bytes"]

# Both operands of the products become integers. OpenVINO does that to the activations of
# graphs with stored integers as well, on the fly, where the CPU multiplies integers faster.
_INTEGER = frozenset(
    {
        *("quantize-nncf", "quantize-nncf-ir", "quantize-ort", "quantize-dynamic"),
        *("restore", "restore-ir", "quantize-weights-ir", "store-int8", "learn-int8"),
    }
)
_NAMED = 3  # operators that a note names
_SIXTEEN = frozenset({Precision.BF16, Precision.FP16})


def complete(
    setup: Setup, trial: Trial, made: Made, latency: Latency, measured: Footprint
) -> Footprint:
    """Add parameters, operations, traffic and the share of this machine's ceiling.

    The size on disk is that of the files that a bundle will hold, not of the
    compiled engine in the cache.

    Raises:
        MeasurementError: the latency is below what this machine can do at all.
    """
    precision = arithmetic_of(trial.recipe)
    own = counts_of(setup, made)
    median_ms = query_ms(latency)
    share = None
    if median_ms is not None and not setup.uncounted:
        share = ceiling_share(
            own.macs * setup.contract.batch, median_ms, setup.machine.ceilings, precision
        )
    disk_bytes = made.graph.size_bytes()
    untouched = setup.traffic if not trial.recipe.steps else None
    traffic = made.traffic or untouched
    notes = measured.notes
    if setup.uncounted:
        some = ", ".join(setup.uncounted[:_NAMED])
        notes += (
            Note(
                "multiply-accumulates",
                f"They can't be counted of {len(setup.uncounted)} operators ({some}), so there is"
                " no bound and no share of the ceiling, and more bytes are moved than are said.",
            ),
        )
    if traffic is None:
        traffic = _estimate(setup, disk_bytes)
        reason = (
            "They are an estimate: the candidate's own weights, with activations as in the"
            " untouched graph."
        )
        notes += (Note("bytes moved", reason),)
    return msgspec.structs.replace(
        measured,
        disk_bytes=disk_bytes,
        parameters=own.parameters,
        macs=None if setup.uncounted else own.macs,
        bytes_moved=moved_bytes(traffic, trial.recipe.settings.precision),
        ceiling_share=share,
        ceiling=top_precision(setup.machine.ceilings, precision) if share is not None else None,
        notes=notes,
    )


def counts_of(setup: Setup, made: Made) -> Counts:
    """Its own counts where the network was changed, else the original's."""
    return made.counts or Counts(setup.parameters, setup.macs)


def arithmetic_of(recipe: Recipe) -> str:
    """The fastest arithmetic that the candidate may use, which sets its ceiling.

    Parts of it may run in a wider one (layers left in float), which on some CPUs is faster; the
    ceiling heeds that (`top_precision`), and never convicts an honest result.
    """
    if any(step.name in _INTEGER for step in recipe.steps):
        return "int8"
    if recipe.settings.precision in _SIXTEEN:
        return recipe.settings.precision.value
    halved = any(step.name == "cast" and step.options.get("compute") for step in recipe.steps)
    return "fp16" if halved else "fp32"


def moved_bytes(traffic: Traffic, precision: Precision) -> int:
    """Bytes of one row, where a runtime that computes in 16 bits keeps floats in 16 bits."""
    saved = traffic.wide_bytes // 2 if precision in _SIXTEEN else 0
    return traffic.bytes_moved - saved


def _estimate(setup: Setup, disk_bytes: int) -> Traffic:
    activations = max(0, setup.traffic.bytes_moved - setup.weight_bytes)
    return Traffic(activations + disk_bytes, activations)

"""Latency of one variant of a bundle on its golden inputs, measured as the search measured it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from whet.bundle.golden import Goldens
from whet.bundle.manifest import LatencySummary, Variant
from whet.core.artifact import Artifact
from whet.core.contract import Contract
from whet.core.evidence import Machine
from whet.core.room import temporary_folder
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.measure.clock import ClockPlan, race
from whet.measure.contender import Contender
from whet.measure.statistics import queries_needed
from whet.serve.clauses import Timing

__all__ = ["proof_seconds", "timed", "tuned_threads"]

_STARTS = 1.5  # processes start and warm up in this time too
_LONGEST_S = 120.0


def tuned_threads(machine: Machine, contract: Contract | None) -> int:
    """Threads, and so cores, that a bundle's figures were measured with; pure.

    Args:
        machine: where it was tuned; a contract that names no threads was given all its cores.
        contract: it was tuned for, where the bundle holds it.
    """
    asked = contract.threads if contract is not None else None
    return asked if asked is not None else machine.cores


def proof_seconds(
    least: float, contract: Contract | None, expected: LatencySummary | None
) -> float:
    """Seconds in which enough queries run to prove the contract's limit, if it is kept; pure.

    Args:
        least: without a limit, or for a quick engine.
        contract: of the bundle.
        expected: what it states; a median above the limit is refuted by a few queries.
    """
    limit_ms = contract.limit_ms if contract is not None else None
    if contract is None or limit_ms is None or expected is None or expected.mean_ms > limit_ms:
        return least
    queries = queries_needed(contract.percentile, 1)
    asking = queries * expected.mean_ms / 1e3 / expected.concurrency
    return max(least, min(_STARTS * asking, _LONGEST_S))


def timed(
    variant: Variant,
    artifact: Artifact,
    engine: Path,
    goldens: Goldens,
    *,
    cores: tuple[int, ...],
    seconds: float,
    percentile: float = 99.0,
) -> Timing:
    """Time a variant in fresh processes, at the batch and concurrency that it states.

    Its size is that of its files in the bundle, as in the search, and not that of the engine.

    Args:
        variant: which.
        artifact: its files.
        engine: what its runtime made of them here.
        goldens: whose inputs it is asked with.
        cores: that it may run on.
        seconds: for all of it.
        percentile: that matters.

    Raises:
        WhetError: as its process ended.
    """
    expected = variant.latency[0] if variant.latency else None
    plan = ClockPlan.full(
        batch=expected.batch if expected is not None else goldens.rows_per_run,
        concurrency=expected.concurrency if expected is not None else 1,
        percentile=percentile,
        seed=0,
        seconds=seconds,
    )
    contender = Contender(variant.name, variant.runtime, artifact, str(engine), variant.settings)
    with temporary_folder("whet-verify-") as folder:
        store = write_store(
            open_samples(goldens.inputs, expect=artifact.signature.inputs, label_key=""),
            folder / "goldens",
            limit=4096,
            seed=0,
        )
        result = race([contender], store.ref(), plan, cores=cores)
    if contender.name in result.failures:
        raise result.failures[contender.name]
    footprint = msgspec.structs.replace(
        result.footprints[contender.name], disk_bytes=artifact.size_bytes()
    )
    return Timing(result.latency[contender.name], footprint, result.unrest)

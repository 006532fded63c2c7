"""Does a bundle still hold here: hashes, machine, goldens, latency."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from whet.bundle.golden import GoldenResult, load_goldens, replay
from whet.bundle.manifest import LatencySummary
from whet.bundle.read import Bundle, read_bundle
from whet.core.evidence import Latency, Machine, Verdict
from whet.core.note import Note
from whet.core.places import engines_home
from whet.data.readers import open_samples
from whet.data.store import write_store
from whet.errors import BundleError, WhetError
from whet.measure.clock import ClockPlan, race
from whet.measure.contender import Contender
from whet.measure.machine import fingerprint
from whet.runtimes.cache import EngineCache
from whet.runtimes.registry import get

_SECONDS = 20.0

__all__ = ["Verification", "machine_differences", "verify"]


@dataclass(frozen=True)
class Verification:
    """What was checked.

    Attributes:
        ok: the files are whole and the goldens come out.
        goldens: one result per output and variant, by variant.
        differences: how this machine differs from the one it was tuned for.
        expected: the latency that the bundle states for its default variant.
        latency: what was measured here; ``None`` if only a quick check was asked for.
        notes: what could not be checked.
    """

    ok: bool
    variant: str
    goldens: dict[str, tuple[GoldenResult, ...]]
    differences: tuple[Note, ...]
    expected: LatencySummary | None
    latency: Latency | None
    notes: tuple[Note, ...]

    @property
    def machine_same(self) -> bool:
        return not self.differences


def verify(path: str | Path, *, quick: bool = False, engines: Path | None = None) -> Verification:
    """Check a bundle here.

    Args:
        path: of the bundle.
        quick: hashes and goldens only; nothing is timed.
        engines: cache of compiled engines.

    Raises:
        BundleError: the bundle is refused.
    """
    bundle = read_bundle(path)
    cache = EngineCache(engines if engines is not None else engines_home())
    goldens: dict[str, tuple[GoldenResult, ...]] = {}
    notes: list[Note] = []
    for variant in bundle.manifest.variants:
        if variant.runs_code:
            notes.append(Note(variant.name, "Not replayed: opening it runs code of the bundle."))
            continue
        recorded = load_goldens(bundle, variant.name)
        if recorded is None:
            notes.append(Note(variant.name, "It has no goldens."))
            continue
        artifact = bundle.artifact(variant.name)
        runtime = get(variant.runtime)
        try:
            engine = cache.compiled(runtime, artifact, variant.settings)
            with runtime.open(engine, artifact, variant.settings) as session:
                goldens[variant.name] = tuple(replay(recorded, session.run))
        except BundleError:
            raise
        except WhetError as error:
            notes.append(Note(variant.name, error.message))
    notes += _contract(bundle)
    here = fingerprint(ceilings=False, cache=None)
    default = bundle.variant()
    expected = default.latency[0] if default.latency else None
    latency = None if quick else _measured(path, cache, expected)
    replayed = [result for results in goldens.values() for result in results]
    return Verification(
        ok=all(result.ok for result in replayed) and default.name in goldens,
        variant=default.name,
        goldens=goldens,
        differences=machine_differences(bundle.manifest.machine, here),
        expected=expected,
        latency=latency,
        notes=tuple(notes),
    )


def _contract(bundle: Bundle) -> list[Note]:
    """What the search said of the contract, which a replay can't prove again without samples."""
    evidence = bundle.evidence()
    if evidence is None:
        return []
    kept = {
        Verdict.PASSED: "kept",
        Verdict.FAILED: "not kept",
        Verdict.UNDECIDED: "not proven",
    }[evidence.kept]
    words = f"{evidence.contract.brief()}: {kept} where it was made. {evidence.sentence}"
    return [Note("contract", words)]


def machine_differences(tuned: Machine, here: Machine) -> tuple[Note, ...]:
    """How this machine differs from the one that a bundle was tuned for; pure."""
    found = [
        Note(name, f"tuned for {old}, here {new}")
        for name, old, new in (
            ("cpu", tuned.cpu, here.cpu),
            ("architecture", tuned.arch, here.arch),
            ("cores", tuned.cores, here.cores),
        )
        if old != new
    ]
    lost = sorted(set(tuned.flags) - set(here.flags))
    if lost:
        found.append(Note("cpu flags", f"missing here: {', '.join(lost)}"))
    for name, version in tuned.versions.items():
        now = here.versions.get(name)
        if now is not None and now != version:
            found.append(Note(f"version of {name}", f"tuned with {version}, here {now}"))
    return tuple(found)


def _measured(
    path: str | Path, cache: EngineCache, expected: LatencySummary | None
) -> Latency | None:
    """Latency of the default variant on its golden inputs, in a fresh process."""
    bundle = read_bundle(path, check_hashes=False)
    variant = bundle.variant()
    goldens = load_goldens(bundle, variant.name)
    if goldens is None or variant.runs_code:
        return None
    artifact = bundle.artifact(variant.name)
    engine = cache.compiled(get(variant.runtime), artifact, variant.settings)
    plan = ClockPlan.full(
        batch=expected.batch if expected is not None else goldens.rows_per_run,
        concurrency=expected.concurrency if expected is not None else 1,
        percentile=99.0,
        seed=0,
        seconds=_SECONDS,
    )
    contender = Contender(variant.name, variant.runtime, artifact, str(engine), variant.settings)
    with tempfile.TemporaryDirectory(prefix="whet-verify-") as folder:
        store = write_store(
            open_samples(goldens.inputs, expect=artifact.signature.inputs, label_key=""),
            Path(folder) / "goldens",
            limit=4096,
            seed=0,
        )
        cores = tuple(sorted(os.sched_getaffinity(0)))
        result = race([contender], store.ref(), plan, cores=cores, memory_bytes=None)
    if contender.name in result.failures:
        raise result.failures[contender.name]
    return result.latency[contender.name]

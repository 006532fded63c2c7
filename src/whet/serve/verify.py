"""Does a bundle still hold here: hashes, machine, goldens, latency."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whet.bundle.golden import load_goldens
from whet.bundle.manifest import LatencySummary
from whet.bundle.read import Bundle, read_bundle
from whet.core.evidence import Evidence, Latency, Machine, Verdict
from whet.core.note import Note
from whet.core.places import engines_home
from whet.core.standing import Standing
from whet.errors import WhetError
from whet.measure.cgroup import cores_for
from whet.measure.machine import fingerprint
from whet.runtimes.cache import EngineCache
from whet.serve.replay import Check, checked
from whet.serve.timing import timed, tuned_threads

_SECONDS = 20.0

__all__ = ["Verification", "machine_differences", "standing_of", "verify"]


@dataclass(frozen=True)
class Verification:
    """What was checked.

    Attributes:
        standing: of the bundle as a whole, see `standing_of`.
        variant: name of the default variant.
        checks: one per variant, in the order of the bundle.
        differences: how this machine differs from the one it was tuned for.
        expected: the latency that the bundle states for its default variant.
        latency: what was measured here; ``None`` if only a quick check was asked for,
            or the default variant didn't answer.
        notes: what else is to be said.
    """

    standing: Standing
    variant: str
    checks: tuple[Check, ...]
    differences: tuple[Note, ...]
    expected: LatencySummary | None
    latency: Latency | None
    notes: tuple[Note, ...]

    @property
    def ok(self) -> bool:
        """The files are whole, and the default variant and all others that run answer as recorded."""
        return self.standing is Standing.HOLDS

    @property
    def machine_same(self) -> bool:
        return not self.differences


def verify(
    path: str | Path,
    *,
    quick: bool = False,
    trust_code: bool = False,
    seconds: float = _SECONDS,
    engines: Path | None = None,
) -> Verification:
    """Check a bundle here.

    Args:
        path: of the bundle.
        quick: hashes and goldens only; nothing is timed.
        trust_code: also check variants whose files run native code.
        seconds: to time the default variant.
        engines: cache of compiled engines.

    Raises:
        BundleError: the bundle is refused.
        StorageError: the cache can't be written.
    """
    bundle = read_bundle(path)
    cache = EngineCache(engines if engines is not None else engines_home())
    checks = tuple(
        checked(bundle, variant, cache, trust_code=trust_code)
        for variant in bundle.manifest.variants
    )
    here = fingerprint(ceilings=False, cache=None)
    default, evidence = bundle.variant(), bundle.evidence()
    latency, unmeasured = (None, ()) if quick else _latency(bundle, evidence, checks, seconds)
    return Verification(
        standing=standing_of(checks, default.name),
        variant=default.name,
        checks=checks,
        differences=machine_differences(bundle.manifest.machine, here),
        expected=default.latency[0] if default.latency else None,
        latency=latency,
        notes=(*_contract(evidence), *unmeasured),
    )


def standing_of(checks: tuple[Check, ...], default: str) -> Standing:
    """What all checks together say of a bundle; pure.

    A wrong answer of any variant counts against the bundle. Otherwise the default variant
    decides: others may need a runtime that isn't here, and nobody misses it.
    """
    if any(check.standing is Standing.DIFFERS for check in checks):
        return Standing.DIFFERS
    return next(check.standing for check in checks if check.variant == default)


def _contract(evidence: Evidence | None) -> list[Note]:
    """What the search said of the contract, which a replay can't prove again without samples."""
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


def _latency(
    bundle: Bundle, evidence: Evidence | None, checks: tuple[Check, ...], seconds: float
) -> tuple[Latency | None, tuple[Note, ...]]:
    """Latency of the default variant, or why it couldn't be measured."""
    default = bundle.variant()
    engine = next(check.engine for check in checks if check.variant == default.name)
    goldens = load_goldens(bundle, default.name)
    if engine is None or goldens is None:
        return None, (Note("latency", f"Not measured: '{default.name}' was not replayed."),)
    try:
        # Whoever didn't trust its code has no engine of it.
        artifact = bundle.artifact(default.name, trust_code=True)
        threads = tuned_threads(bundle.manifest.machine, evidence.contract if evidence else None)
        cores = cores_for(threads)
        return timed(default, artifact, engine, goldens, cores=cores, seconds=seconds), ()
    except WhetError as error:
        return None, (Note("latency", f"Not measured: {error}"),)

"""Does a bundle still hold here: hashes, machine, goldens, latency, and its contract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whet.bundle.golden import load_goldens
from whet.bundle.manifest import LatencySummary
from whet.bundle.read import Bundle, read_bundle
from whet.core.contract import Contract
from whet.core.evidence import Evidence, Latency, Machine, Verdict
from whet.core.note import Note
from whet.core.places import engines_home
from whet.core.standing import Standing
from whet.errors import WhetError
from whet.measure.cgroup import cores_for
from whet.measure.machine import fingerprint
from whet.runtimes.cache import EngineCache
from whet.serve.clauses import ClauseHere, Timing, clauses_here, far_off, whole
from whet.serve.replay import Check, checked, checked_cascade
from whet.serve.timing import proof_seconds, timed, tuned_threads

_SECONDS = 20.0

__all__ = ["Verification", "machine_differences", "standing_of", "verify"]


@dataclass(frozen=True)
class Verification:
    """What was checked.

    Attributes:
        standing: of the bundle as a whole, see `standing_of`.
        variant: name of the default variant.
        checks: one per variant and then per cascade, in the order of the bundle.
        differences: how this machine differs from the one it was tuned for.
        expected: the latency that the bundle states for its default variant.
        latency: what was measured here; ``None`` if only a quick check was asked for,
            or the default variant didn't answer.
        notes: what else is to be said.
        made: the record of the search that made the bundle, where it holds one.
        clauses: of its contract, here; none where the default variant doesn't hold.
        far_off: that the latency is far from what is stated, and the likely cause; or empty.
    """

    standing: Standing
    variant: str
    checks: tuple[Check, ...]
    differences: tuple[Note, ...]
    expected: LatencySummary | None
    latency: Latency | None
    notes: tuple[Note, ...]
    made: Evidence | None = None
    clauses: tuple[ClauseHere, ...] = ()
    far_off: str = ""

    @property
    def kept(self) -> Verdict | None:
        """Whether the contract is kept here; ``None`` where that wasn't looked at in full."""
        return whole(self.clauses)

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
        seconds: to time the default variant; more where proving its limit takes more.
        engines: cache of compiled engines.

    Raises:
        BundleError: the bundle is refused.
        StorageError: the cache can't be written.
    """
    bundle = read_bundle(path)
    cache = EngineCache(engines if engines is not None else engines_home())
    checks = (
        *(checked(bundle, v, cache, trust_code=trust_code) for v in bundle.manifest.variants),
        *(
            checked_cascade(bundle, c, cache, trust_code=trust_code)
            for c in bundle.manifest.cascades
        ),
    )
    here = fingerprint(ceilings=False, cache=None)
    default, evidence = bundle.variant(), bundle.evidence()
    timing, unmeasured = (None, ()) if quick else _timing(bundle, evidence, checks, seconds)
    standing = standing_of(checks, default.name)
    differences = machine_differences(bundle.manifest.machine, here)
    expected = default.latency[0] if default.latency else None
    contract = evidence.contract if evidence is not None else Contract()
    asked = evidence is not None and standing is Standing.HOLDS
    return Verification(
        standing=standing,
        variant=default.name,
        checks=checks,
        differences=differences,
        expected=expected,
        latency=timing.latency if timing is not None else None,
        notes=unmeasured,
        made=evidence,
        clauses=clauses_here(contract, default.quality, timing, quick=quick) if asked else (),
        far_off=far_off(contract.percentile, expected, timing, machine_same=not differences),
    )


def standing_of(checks: tuple[Check, ...], default: str) -> Standing:
    """What all checks together say of a bundle; pure.

    A wrong answer of any variant counts against the bundle. Otherwise the default variant
    decides: others may need a runtime that isn't here, and nobody misses it.
    """
    if any(check.standing is Standing.DIFFERS for check in checks):
        return Standing.DIFFERS
    return next(check.standing for check in checks if check.variant == default)


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


def _timing(
    bundle: Bundle, evidence: Evidence | None, checks: tuple[Check, ...], seconds: float
) -> tuple[Timing | None, tuple[Note, ...]]:
    """The default variant timed, or why it couldn't be."""
    default = bundle.variant()
    engine = next(check.engine for check in checks if check.variant == default.name)
    goldens = load_goldens(bundle, default.name)
    if engine is None or goldens is None:
        return None, (Note("latency", f"Not measured: '{default.name}' was not replayed."),)
    try:
        # Whoever didn't trust its code has no engine of it.
        artifact = bundle.artifact(default.name, trust_code=True)
        contract = evidence.contract if evidence is not None else None
        timing = timed(
            default,
            artifact,
            engine,
            goldens,
            cores=cores_for(tuned_threads(bundle.manifest.machine, contract)),
            seconds=proof_seconds(seconds, contract, next(iter(default.latency), None)),
            percentile=contract.percentile if contract is not None else 99.0,
        )
    except WhetError as error:
        return None, (Note("latency", f"Not measured: {error}"),)
    return timing, ()

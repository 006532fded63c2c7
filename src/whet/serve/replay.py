"""One variant of a bundle on this machine: opened, asked its goldens, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whet.bundle.golden import GoldenResult, load_goldens, replay
from whet.bundle.manifest import Variant
from whet.bundle.read import Bundle
from whet.core.registry import names
from whet.core.standing import Standing
from whet.errors import (
    BundleError,
    HostError,
    RuntimeUnavailableError,
    StorageError,
    UntrustedCodeError,
    WhetError,
)
from whet.runtimes.base import Runtime
from whet.runtimes.cache import EngineCache
from whet.runtimes.registry import get

__all__ = ["Check", "checked", "runtime_of"]


@dataclass(frozen=True)
class Check:
    """What became of one variant.

    Attributes:
        variant: its name.
        standing: in a word.
        results: one per output, where it was replayed.
        error: what was in the way, where it wasn't; with its remedy.
        engine: the compiled engine, where it was replayed.
    """

    variant: str
    standing: Standing
    results: tuple[GoldenResult, ...] = ()
    error: WhetError | None = None
    engine: Path | None = None


def runtime_of(variant: Variant) -> Runtime:
    """The runtime that a variant was made for; whether it is installed shows when it is used.

    Raises:
        RuntimeUnavailableError: this whet doesn't know it.
    """
    if variant.runtime not in names("runtime"):
        raise RuntimeUnavailableError(
            f"The variant '{variant.name}' needs the runtime '{variant.runtime}', which this whet"
            " doesn't know.",
            "Install the whet that made the bundle, or choose another variant.",
        )
    return get(variant.runtime)


def checked(
    bundle: Bundle, variant: Variant, cache: EngineCache, *, trust_code: bool = False
) -> Check:
    """Open a variant and replay its goldens.

    What is in the way of that is told and not raised, so that one variant keeps
    nobody from checking the others.

    Args:
        bundle: that holds it.
        variant: which.
        cache: of compiled engines.
        trust_code: also open it if that runs code of the bundle.

    Raises:
        BundleError: a file was changed meanwhile.
        StorageError: the cache of engines can't be written.
    """
    try:
        artifact = bundle.artifact(variant.name, trust_code=trust_code)
        goldens = load_goldens(bundle, variant.name)
        if goldens is None:
            return Check(variant.name, Standing.UNCHECKED, error=_nothing_recorded(variant))
        runtime = runtime_of(variant)
        session, engine = cache.opened(runtime, artifact, variant.settings)
        with session:
            results = tuple(replay(goldens, session.run))
    except (UntrustedCodeError, HostError) as error:
        return Check(variant.name, Standing.UNCHECKED, error=error)
    except (BundleError, StorageError):
        raise
    except WhetError as error:
        return Check(variant.name, Standing.FAILS, error=error)
    held = all(result.ok for result in results)
    standing = Standing.HOLDS if held else Standing.DIFFERS
    return Check(variant.name, standing, results, engine=engine)


def _nothing_recorded(variant: Variant) -> WhetError:
    return BundleError(
        f"The variant '{variant.name}' has no recorded answers to compare with.",
        "Bundles that 'whet optimize' writes have them.",
    )

"""A variant or a cascade on this machine: opened, asked its goldens, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from whet.bundle.golden import GoldenResult, load_goldens, replay
from whet.bundle.manifest import Cascade, Variant
from whet.bundle.read import Bundle
from whet.core.standing import Standing
from whet.errors import BundleError, HostError, StorageError, UntrustedCodeError, WhetError
from whet.runtimes.cache import EngineCache
from whet.serve.cascades import exit_words, open_cascade, replay_cascade, stage_goldens
from whet.serve.runtime import runtime_of

__all__ = ["Check", "checked", "checked_cascade"]


@dataclass(frozen=True)
class Check:
    """What became of one variant or cascade.

    Attributes:
        variant: its name.
        standing: in a word.
        results: one per output, where it was replayed.
        error: what was in the way, where it wasn't; with its remedy.
        engine: the compiled engine, where one was replayed.
        exits: where rows left a cascade, in words.
    """

    variant: str
    standing: Standing
    results: tuple[GoldenResult, ...] = ()
    error: WhetError | None = None
    engine: Path | None = None
    exits: str = ""


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

    def replayed() -> Check:
        artifact = bundle.artifact(variant.name, trust_code=trust_code)
        goldens = load_goldens(bundle, variant.name)
        if goldens is None:
            return Check(variant.name, Standing.UNCHECKED, error=_nothing_recorded(variant.name))
        session, engine = cache.opened(runtime_of(variant), artifact, variant.settings)
        with session:
            results = tuple(replay(goldens, session.run))
        return Check(variant.name, _standing(results), results, engine=engine)

    return _told(variant.name, replayed)


def checked_cascade(
    bundle: Bundle, cascade: Cascade, cache: EngineCache, *, trust_code: bool = False
) -> Check:
    """Open a cascade and replay the goldens of its stages; as `checked`.

    Raises:
        BundleError: a file was changed meanwhile.
        StorageError: the cache of engines can't be written.
    """

    def replayed() -> Check:
        with open_cascade(bundle, cascade, cache, trust_code=trust_code) as session:
            goldens = stage_goldens(bundle, cascade)
            if goldens is None:
                lacking = _nothing_recorded(cascade.name)
                return Check(cascade.name, Standing.UNCHECKED, error=lacking)
            results = replay_cascade(cascade, goldens, session)
            exits = exit_words(cascade, session.left)
        return Check(cascade.name, _standing(results), results, exits=exits)

    return _told(cascade.name, replayed)


def _told(name: str, replayed: Callable[[], Check]) -> Check:
    """What came of it, or what was in the way."""
    try:
        return replayed()
    except (UntrustedCodeError, HostError) as error:
        return Check(name, Standing.UNCHECKED, error=error)
    except (BundleError, StorageError):
        raise
    except WhetError as error:
        return Check(name, Standing.FAILS, error=error)


def _standing(results: tuple[GoldenResult, ...]) -> Standing:
    return Standing.HOLDS if all(result.ok for result in results) else Standing.DIFFERS


def _nothing_recorded(name: str) -> WhetError:
    return BundleError(
        f"The variant '{name}' has no recorded answers to compare with.",
        "Bundles that 'whet optimize' writes have them.",
    )

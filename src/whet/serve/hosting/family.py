"""Which variants of a bundle a server uses, and what is known of their times; pure.

Without a deadline nothing says how fast is fast enough, so the bundle's default answers. With one,
all that keep the quality floor may: from the most accurate to the fastest, the scheduler takes the
most accurate that is in time.
"""

from __future__ import annotations

from collections.abc import Sequence

from whet.bundle.manifest import Manifest, Variant
from whet.core.evidence import Verdict
from whet.errors import OptionError
from whet.serve.scheduler.times import Times

__all__ = ["family_of", "times_of"]

_QUANTILE = 95.0


def family_of(
    manifest: Manifest, *, asked: Sequence[str], deadline: bool, trusted: bool
) -> tuple[str, ...]:
    """Names of variants and cascades, from the most accurate to the fastest.

    Args:
        manifest: of the bundle.
        asked: those that the user named, in that order; none for a choice by what is known.
        deadline: whether requests have one.
        trusted: whether variants that run native code may be opened.

    Raises:
        OptionError: the bundle has none of such a name.
    """
    for name in asked:
        if name not in manifest.names:
            raise OptionError(
                f"'{manifest.name}' has no variant '{name}'.",
                f"It has {', '.join(manifest.names)}.",
            )
    if asked:
        return tuple(asked)
    if not deadline:
        return (manifest.default,)
    good = [v.name for v in manifest.variants if _keeps(v) and (trusted or not v.runs_code)]
    return tuple(good) if manifest.default in good else (*good, manifest.default)


def _keeps(variant: Variant) -> bool:
    """Whether it keeps the floor: certified, or nothing but the original."""
    quality = variant.quality
    return quality is not None and (
        quality.same or (quality.certified and quality.verdict is Verdict.PASSED)
    )


def times_of(variant: Variant) -> Times:
    """What the bundle says of a variant's times, one query at a time."""
    known: dict[int, float] = {}
    for latency in variant.latency:
        if latency.concurrency == 1:
            points = [p.value_ms for p in latency.percentiles if p.q <= _QUANTILE]
            known[latency.batch] = max([latency.mean_ms, *points]) / 1e3
    return Times(known)

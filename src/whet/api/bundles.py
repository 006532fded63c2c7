"""Verbs on bundles: open one, check it, load it with queries, look into it.

They import neither the search nor the passes, so a machine that only answers stays light.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whet.bundle.read import read_bundle
from whet.core.arguments import flag_of, maybe, names_of, number_of, path_of, text_of
from whet.serve.bench import Bench
from whet.serve.bench import bench as _bench
from whet.serve.inspect import Inspection, inspection_of
from whet.serve.loaded import Loaded
from whet.serve.loaded import load as _load
from whet.serve.verify import Verification
from whet.serve.verify import verify as _verify

__all__ = ["bench", "inspect", "load", "verify"]


def load(bundle: str | Path, variant: str | None = None, *, trust_code: bool = False) -> Loaded:
    """Open a bundle in this process; ``.run(...)`` answers. A context manager.

    Args:
        bundle: its folder. A packed ``.whet`` file is unpacked into one first,
            by `whet.bundle.pack.unpack`.
        variant: a variant or a cascade; the default variant if left out.
        trust_code: allow variants whose files run native code.

    Raises:
        BundleError: it is refused, or answers otherwise here than where it was made.
        OptionError: an argument of the wrong type, or a variant that the bundle doesn't have.
    """
    return _load(
        path_of("bundle", bundle),
        maybe(text_of, "variant", variant),
        trust_code=flag_of("trust_code", trust_code),
    )


def verify(bundle: str | Path, *, quick: bool = False, trust_code: bool = False) -> Verification:
    """Check hashes, replay the goldens of every variant, and measure here.

    Args:
        bundle: its folder.
        quick: time nothing.
        trust_code: also check variants whose files run native code.

    Raises:
        BundleError: it is refused.
        OptionError: an argument of the wrong type.
    """
    return _verify(
        path_of("bundle", bundle),
        quick=flag_of("quick", quick),
        trust_code=flag_of("trust_code", trust_code),
    )


def bench(
    bundle: str | Path,
    *,
    variant: str | None = None,
    scenario: str = "single-stream",
    seconds: float = 10.0,
    rate_per_s: float | None = None,
    limit_ms: float | None = None,
    percentile: float | None = None,
    inputs: str | Path | None = None,
    label_key: str | None = None,
    text_keys: Sequence[str] | None = None,
    trust_code: bool = False,
) -> Bench:
    """Load a variant by one of MLPerf's scenarios, on its golden or on raw inputs.

    Args:
        bundle: its folder.
        variant: a variant or a cascade; the default variant if left out.
        scenario: ``single-stream``, ``multi-stream``, ``server`` or ``offline``.
        seconds: to measure, the warm-up apart.
        rate_per_s: of arrivals, for ``server`` only.
        limit_ms: above it a query counts as missed; not for ``offline``.
        percentile: that the limit bounds; the contract's own if left out, not for ``offline``.
        inputs: raw samples as `optimize` takes them (a folder of pictures, with class folders or
            without; texts in ``.jsonl`` or ``.csv``), or plain text with one text a line: latency
            then holds the bundle's transform (decoding, tokenising) too. At most 256 samples are
            asked, spread over the classes. The golden inputs if left out.
        label_key: column that holds the labels of ``inputs``.
        text_keys: columns that hold the text.
        trust_code: allow a variant whose files run native code.

    Raises:
        BundleError: it is refused.
        OptionError: an argument of the wrong type; a scenario that isn't known, lacks its rate or
            doesn't take what was given.
    """
    return _bench(
        path_of("bundle", bundle),
        variant=maybe(text_of, "variant", variant),
        scenario=text_of("scenario", scenario),
        seconds=number_of("seconds", seconds),
        rate_per_s=maybe(number_of, "rate_per_s", rate_per_s),
        limit_ms=maybe(number_of, "limit_ms", limit_ms),
        percentile=maybe(number_of, "percentile", percentile),
        inputs=maybe(path_of, "inputs", inputs),
        label_key=maybe(text_of, "label_key", label_key),
        text_keys=maybe(names_of, "text_keys", text_keys),
        trust_code=flag_of("trust_code", trust_code),
    )


def inspect(bundle: str | Path) -> Inspection:
    """The manifest and the evidence of a bundle, hashes checked.

    Raises:
        BundleError: it is refused.
        OptionError: ``bundle`` is no path.
    """
    return inspection_of(read_bundle(path_of("bundle", bundle)))

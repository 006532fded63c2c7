"""Variants that run code which came with the bundle: opened only where that was said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from whet.bundle.draft import VariantDraft
from whet.core.artifact import Artifact, Format
from whet.core.standing import Standing
from whet.errors import UntrustedCodeError
from whet.serve.bench import bench
from whet.serve.loaded import load
from whet.serve.verify import verify
from whet.testing.small_net import SmallNet

Variants = Callable[..., VariantDraft]
Bundles = Callable[..., Path]


@pytest.fixture
def forged(tmp_path: Path) -> Artifact:
    """What must not be opened unasked; opening it would fail otherwise than by our refusal."""
    (tmp_path / "evil.pt2").write_bytes(b"code")
    return Artifact(str(tmp_path / "evil.pt2"), Format.TORCH, SmallNet().signature)


@pytest.mark.parametrize("runtime", ["inductor", "torch"])
def test_code_is_not_run_unasked(
    variant: Variants, bundle_of: Bundles, forged: Artifact, runtime: str
) -> None:
    bundle = bundle_of(variant("a", runtime, artifact=forged), variant("b"))
    found = verify(bundle)
    assert [check.standing for check in found.checks] == [Standing.UNCHECKED, Standing.HOLDS]
    assert found.standing is Standing.UNCHECKED
    assert found.latency is None
    assert isinstance(found.checks[0].error, UntrustedCodeError)
    assert "--trust-code" in found.checks[0].error.remedy
    for refused in (
        lambda: load(bundle),
        lambda: bench(
            bundle,
            variant=None,
            scenario="single-stream",
            seconds=1.0,
            rate_per_s=None,
            limit_ms=None,
        ),
    ):
        with pytest.raises(UntrustedCodeError, match="--trust-code"):
            refused()


def test_trusted_code_is_checked_timed_and_benched(
    variant: Variants, bundle_of: Bundles, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    program = SmallNet().program(tmp_path)
    bundle = bundle_of(variant("a", "torch", artifact=program), variant("b"))
    found = verify(bundle, trust_code=True, seconds=2.0)
    assert found.ok, found.checks
    assert found.latency is not None
    ran = bench(
        bundle,
        variant=None,
        scenario="offline",
        seconds=0.2,
        rate_per_s=None,
        limit_ms=None,
        trust_code=True,
    )
    assert ran.variant == "a"
    assert ran.outcome.errors == 0

"""What a bundle says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from whet.bundle.manifest import Manifest
from whet.bundle.read import Bundle
from whet.core.evidence import Evidence

__all__ = ["Inspection", "inspection_of"]


@dataclass(frozen=True)
class Inspection:
    """A bundle's manifest and, where it holds one, the record of its search."""

    manifest: Manifest
    evidence: Evidence | None
    size_bytes: int


def inspection_of(bundle: Bundle) -> Inspection:
    """Read the evidence of a checked bundle.

    Raises:
        BundleCorruptError: the evidence was changed.
    """
    return Inspection(bundle.manifest, bundle.evidence(), bundle.size_bytes())

"""What the page says about the bundle that it came with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:  # they bring numpy, which rendering a page doesn't need
    from whet.bundle.draft import BundleDraft
    from whet.bundle.manifest import Manifest

__all__ = ["BundleInfo", "VariantInfo", "bundle_info", "draft_info"]


class VariantInfo(msgspec.Struct, frozen=True):
    """One variant that was packed; ``trial`` is the id of its trial in the evidence."""

    name: str
    runtime: str
    size_bytes: int
    trial: str
    default: bool


class BundleInfo(msgspec.Struct, frozen=True):
    """A bundle in short.

    Attributes:
        name: of the model.
        where: the folder, as the user named it.
        created: when it was packed; ISO 8601, UTC.
        whet: version of whet that wrote it.
        variants: most accurate to fastest.
    """

    name: str
    where: str
    created: str
    whet: str
    variants: tuple[VariantInfo, ...]


def bundle_info(manifest: Manifest, where: str) -> BundleInfo:
    """The short form of a manifest."""
    sizes = {name: entry.size_bytes for name, entry in manifest.files.items()}
    return BundleInfo(
        name=manifest.name,
        where=where,
        created=manifest.created,
        whet=manifest.whet,
        variants=tuple(
            VariantInfo(
                name=variant.name,
                runtime=variant.runtime,
                size_bytes=sum(sizes.get(file, 0) for file in variant.files),
                trial=variant.trial,
                default=variant.name == manifest.default,
            )
            for variant in manifest.variants
        ),
    )


def draft_info(draft: BundleDraft, where: str) -> BundleInfo:
    """The short form of a bundle that is about to be written, whose page goes into it.

    Raises:
        OSError: a variant's files are gone.
    """
    return BundleInfo(
        name=draft.name,
        where=where,
        created=draft.created,
        whet=draft.whet,
        variants=tuple(
            VariantInfo(
                name=variant.name,
                runtime=variant.runtime,
                size_bytes=variant.artifact.size_bytes(),
                trial=variant.trial,
                default=variant.name == draft.default,
            )
            for variant in draft.variants
        ),
    )

"""How raw bytes or text become a network's inputs; recorded in the bundle.

A transform is data: a closed msgspec record that the search, the store and a
server share, so that what was measured is what is served.
"""

from __future__ import annotations

from whet.core.spec import TensorSpec
from whet.data.image import ImageTransform
from whet.data.text import TextEncoder, TextTransform

__all__ = [
    "ImageTransform",
    "TextEncoder",
    "TextTransform",
    "Transform",
    "pad_values",
    "stored_specs",
]

Transform = ImageTransform | TextTransform


def stored_specs(transform: Transform) -> tuple[TensorSpec, ...]:
    """What a store holds under a transform: raw pictures, or token sequences."""
    if isinstance(transform, ImageTransform):
        return (transform.raw_spec(),)
    return transform.specs()


def pad_values(transform: Transform | None) -> dict[str, int]:
    """What fills up rows of unequal length, by input; 0 for inputs that aren't named."""
    return transform.pads() if isinstance(transform, TextTransform) else {}

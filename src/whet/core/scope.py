"""What the latency of a bundle leaves out, in words; pure."""

from __future__ import annotations

__all__ = ["TRANSFORM", "outside", "scope"]

TRANSFORM = "transform"
"""Where a note stands that says what isn't inside the latencies."""

_OUTSIDE = {"image": "decoding and resizing pictures", "text": "tokenising texts"}


def outside(kind: str) -> str:
    """The work of a transform of this kind that no latency holds."""
    return _OUTSIDE.get(kind, "what makes its inputs")


def scope(kind: str) -> str:
    """The sentence, for a transform of this kind (``image`` or ``text``)."""
    return f"Latencies are of the network only; {outside(kind)} is not inside."

"""What verbs that tell what they do tell it to, where nobody listens."""

from __future__ import annotations

__all__ = ["to_nobody"]


def to_nobody(_: object) -> None:
    """Without a listener nothing is told."""

"""What a check of a bundle's variant showed."""

from __future__ import annotations

import enum

__all__ = ["Standing"]


class Standing(enum.StrEnum):
    """Whether a variant, or a bundle as a whole, still does here what it did where it was made."""

    HOLDS = "holds"
    DIFFERS = "answers otherwise"
    FAILS = "can't run"
    UNCHECKED = "not checked"  # no verdict: nothing was asked

"""Where a network can end early: data that crosses processes; no torch."""

from __future__ import annotations

import msgspec

__all__ = ["Point", "Points"]


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A block that a network can end behind.

    Attributes:
        block: its name.
        share: of the whole network's work that is done by then.
        before: the blocks that it takes to get there, itself included.
    """

    block: str
    share: float
    before: tuple[str, ...]


class Points(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All such blocks, in the network's order; ``reason`` says why there are none."""

    points: tuple[Point, ...]
    reason: str = ""

"""How far a network that learns has come, as it is told while it learns."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

__all__ = ["Lesson", "Tell", "untold"]


class Lesson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far learning has come.

    Attributes:
        done: steps, those of an earlier run that it goes on from among them.
        steps: in all.
        begun: steps that were done when this run began.
        loss_share: the least loss so far on rows that aren't learnt from, as a share of the one
            that learning began with; 1 where nothing got better yet.
    """

    done: int
    steps: int
    begun: int
    loss_share: float


Tell = Callable[[Lesson], None]
"""Told after every step; whoever listens chooses what to pass on."""


def untold(lesson: Lesson) -> None:
    """Nobody listens."""

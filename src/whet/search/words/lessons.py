"""How far a network that learns has come, in words; pure."""

from __future__ import annotations

from dataclasses import dataclass

from whet.core.lesson import Lesson

__all__ = ["Sparsely", "lesson_words"]

_EVERY_S = 60.0


def lesson_words(lesson: Lesson) -> str:
    """``"step 340 of 1,024 (went on from 204), held-out loss at 42 % of what it began with"``."""
    went_on = f" (went on from {lesson.begun:,})" if lesson.begun else ""
    return (
        f"step {lesson.done:,} of {lesson.steps:,}{went_on}, held-out loss at"
        f" {100 * lesson.loss_share:.3g} % of what it began with"
    )


@dataclass
class Sparsely:
    """Which lessons are worth a line of their own where lines stay: first, last, one a minute."""

    _heard: Lesson | None = None
    _told_s: float = 0.0

    def worth(self, lesson: Lesson, at_s: float) -> bool:
        """Whether this one is.

        Args:
            lesson: of a learning, or of the one after it.
            at_s: now.
        """
        before, self._heard = self._heard, lesson
        another = before is None or lesson.done < before.done or lesson.steps != before.steps
        ends = lesson.done == lesson.steps and lesson != before
        found = another or ends or at_s - self._told_s >= _EVERY_S
        if found:
            self._told_s = at_s
        return found

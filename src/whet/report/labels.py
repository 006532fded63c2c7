"""Places text beside marks so that no two labels overlap; pure geometry.

Greedy, in order of importance: each label tries places around its mark, near
ones first, and takes the first that touches neither a label nor a mark.
Failing that it goes further out, with a line to its mark. An important label
then takes the place with the least overlap; any other is left out, because
its name stands in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Box", "Label", "Placed", "place", "text_width"]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, y down."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Shared area."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0 and high > 0 else 0.0

    def inside(self, other: Box) -> bool:
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True)
class Label:
    """Text for the mark at (x, y).

    Attributes:
        key: the caller's own name for it.
        must: it may not be left out.
        beside: it stands beside its mark or nowhere, never at the end of a line.
        bold: it is wider than plain text.
    """

    key: str
    text: str
    x: float
    y: float
    must: bool = False
    bold: bool = False
    beside: bool = False


@dataclass(frozen=True)
class Placed:
    """Where a label's text stands.

    Attributes:
        x, y: of its baseline.
        anchor: the end of the text that stands at x: ``start``, ``middle`` or ``end``.
        box: what it covers.
        leader: it is so far out that it needs a line to its mark.
    """

    label: Label
    x: float
    y: float
    anchor: str
    box: Box
    leader: bool


# Unit offsets: right, left, below, above, then the corners; the first free one is taken.
_AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
# Widths of a character over the font's size, on the generous side: fonts differ.
_PLAIN, _BOLD = 0.6, 0.68
_NEAR, _FAR = 10.0, (22.0, 36.0, 54.0)


def place(
    labels: Sequence[Label],
    obstacles: Sequence[Box],
    frame: Box,
    *,
    size: float = 12.0,
    soft: Sequence[Box] = (),
    shunned: Sequence[Box] = (),
) -> list[Placed]:
    """Places for the labels, in the order given.

    Args:
        labels: most important first.
        obstacles: marks and other text that no label may touch.
        frame: labels stay inside of it.
        size: of the font, pixels.
        soft: lines that a label crosses rather than that it stands further out.
        shunned: lines for which it rather stands further out.
    """
    placed: list[Placed] = []
    for label in labels:
        taken = [p.box for p in placed]
        tries = [t for t in _tries(label, size) if t.box.inside(frame)]
        free = [t for t in tries if not _cost(t.box, [*obstacles, *taken])]
        if free:
            placed.append(
                min(
                    free,
                    key=lambda t: (_cost(t.box, shunned) > 0, t.leader, _cost(t.box, soft) > 0),
                )
            )
        elif label.must and tries:
            placed.append(
                min(tries, key=lambda t: 10 * _cost(t.box, taken) + _cost(t.box, obstacles))
            )
    return placed


def _cost(box: Box, others: Sequence[Box]) -> float:
    return sum(box.overlap(other) for other in others)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """A generous guess at the width of a text in pixels."""
    return len(text) * size * (_BOLD if bold else _PLAIN)


def _tries(label: Label, size: float) -> list[Placed]:
    wide, high = text_width(label.text, size, bold=label.bold), size * 1.15
    found = []
    for reach in (_NEAR, *(() if label.beside else _FAR)):
        for dx, dy in _AROUND:
            # The edge of the text that faces the mark stands exactly at the offset point.
            x = label.x + dx * reach
            middle = label.y + dy * (reach + (high / 2 if dy and not dx else 0))
            anchor = {1: "start", 0: "middle", -1: "end"}[dx]
            left = x - {1: 0.0, 0: wide / 2, -1: wide}[dx]
            box = Box(left, middle - high / 2, left + wide, middle + high / 2)
            found.append(Placed(label, x, middle + size * 0.36, anchor, box, reach > _NEAR))
    return found

"""What each block of a network may become, and what it costs: all that a solver sees; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Entry", "Link", "Menu", "Plan", "planned"]


@dataclass(frozen=True)
class Entry:
    """One thing that a block may become.

    Attributes:
        name: of it, ``"keep"`` or ``"narrow 0.75, int8"``.
        ms: that it takes on this machine.
        damage: that it does to the network's answers, in the unit that all entries share.
        size_bytes: of its weights.
        takes: the form in which it takes its input: a precision, a layout, a width of the stream.
        gives: likewise of its answer.
    """

    name: str
    ms: float
    damage: float
    size_bytes: int = 0
    takes: str = ""
    gives: str = ""


@dataclass(frozen=True)
class Menu:
    """The entries of one block; there is at least one."""

    block: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Link:
    """That one block's answer is another's input.

    Attributes:
        before: place of the first among the menus.
        after: place of the other, which comes later.
        costs_ms: what it takes to turn the form that is given into the one that is taken. Equal
            forms cost nothing unless it is said; others that are missing don't fit together.
    """

    before: int
    after: int
    costs_ms: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def cost_ms(self, gives: str, takes: str) -> float | None:
        """What handing on takes; ``None`` where the forms don't fit together."""
        found = self.costs_ms.get((gives, takes))
        return 0.0 if found is None and gives == takes else found


@dataclass(frozen=True)
class Plan:
    """One entry of each menu, in their order, and what it amounts to as a sum."""

    picks: tuple[Entry, ...]
    ms: float
    damage: float
    size_bytes: int


def planned(picks: Sequence[Entry], links: Sequence[Link]) -> Plan | None:
    """What picks amount to; ``None`` where their forms don't fit together."""
    costs = [link.cost_ms(picks[link.before].gives, picks[link.after].takes) for link in links]
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    return Plan(
        picks=tuple(picks),
        ms=sum(p.ms for p in picks) + sum(known),
        damage=sum(p.damage for p in picks),
        size_bytes=sum(p.size_bytes for p in picks),
    )

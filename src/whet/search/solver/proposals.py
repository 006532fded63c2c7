"""From the menus of a network to the plans worth trying, and in which order; pure.

The whole frontier comes from one set of menus. Which of its points is the fastest that keeps the
floor is found by trying: quality falls as time does, and what a try lost says how far to go next.
Damage is label-free and the floor is not, so no point is left out for its damage alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whet.core.recipe import Step
from whet.optimize.network.menus.menu import Choice, Choices, Scored
from whet.search.solver.chain import frontier
from whet.search.solver.general import solve
from whet.search.solver.menu import Entry, Link, Menu, Plan

__all__ = [
    "LEAST_GAIN",
    "FrontierSearch",
    "Proposal",
    "best_of",
    "corrected_ms",
    "menus_of",
    "proposals",
    "summed",
]

# As passes follow each other: ranks are those of the layers that narrowing leaves.
_ORDER = ("narrow", "factor", "separate", "drop")
_POINTS = 24  # of a frontier that isn't of a chain
_BEGIN = 1 / 3  # of the way to the fastest, where the first try is
_PRUDENT = 0.9  # of the damage that seems allowed
LEAST_GAIN = 0.03  # share of the time; what gains less isn't worth a try


@dataclass(frozen=True)
class Proposal:
    """A plan as passes.

    Attributes:
        steps: over the network, without its repair.
        ms: that are predicted.
        damage: as a sum, or as it was measured.
        changed: blocks that aren't what they were.
    """

    steps: tuple[Step, ...]
    ms: float
    damage: float
    changed: int


def proposals(
    choices: Choices,
    ms: Mapping[str, float],
    whole_ms: float,
    scored: Sequence[Scored] | None = None,
) -> tuple[Proposal, ...]:
    """The plans that no other beats in both time and damage, the gentlest first.

    Args:
        choices: the menus.
        ms: that each graph of a block takes, by its path.
        whole_ms: that the network takes as it is.
        scored: plans whose damages were measured together, where sums of damages say little; by
            default they are added up.
    """
    menus = menus_of(choices, ms, whole_ms)
    if scored is not None:
        plans = [_measured(menus, each) for each in scored]
    else:
        plans = summed(menus, choices.entries)
    found = [_proposal(choices, plan) for plan in plans]
    return best_of(p for p in found if p.changed and p.ms < (1 - LEAST_GAIN) * whole_ms)


def menus_of(choices: Choices, ms: Mapping[str, float], whole_ms: float) -> list[Menu]:
    """The menus with what each choice takes; entries are named by their places.

    Blocks timed alone take longer together, by what each call of a runtime costs; so their times
    are scaled to the whole network's.

    Args:
        choices: the menus.
        ms: that each graph of a block takes, by its path.
        whole_ms: that the network takes as it is.
    """
    scale = whole_ms / sum(ms[menu[0].graph.path] for menu in choices.menus)
    return [
        Menu(
            menu[0].block, tuple(_entry(i, c, scale * ms[c.graph.path]) for i, c in enumerate(menu))
        )
        for menu in choices.menus
    ]


def summed(menus: Sequence[Menu], entries: Sequence[int]) -> list[Plan]:
    """The plans that no other beats in both time and the sum of damages.

    Args:
        menus: of the blocks, each as it is first.
        entries: see `whet.optimize.network.menus.menu.Choices`.
    """
    if all(before == place - 1 for place, before in enumerate(entries)):
        return frontier(menus, [Link(i, i + 1) for i in range(len(menus) - 1)])
    links = [Link(before, place) for place, before in enumerate(entries) if before >= 0]
    least, whole = (sum(pick(menu) for menu in menus) for pick in (_least_ms, _own_ms))
    limits = [least + (whole - least) * i / _POINTS for i in range(_POINTS + 1)]
    plans = [solve(menus, links, most_ms=limit) for limit in limits]
    return [plan for plan in plans if plan is not None]


def _least_ms(menu: Menu) -> float:
    return min(entry.ms for entry in menu.entries)


def _own_ms(menu: Menu) -> float:
    return menu.entries[0].ms


def best_of(found: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """Those that no other beats in both time and damage, the slowest first; of equals the first."""
    kept: list[Proposal] = []
    for point in sorted(found, key=lambda p: (p.ms, p.damage)):
        if not kept or point.damage < kept[-1].damage:
            kept.append(point)
    return tuple(reversed(kept))


def _entry(place: int, choice: Choice, ms: float) -> Entry:
    return Entry(str(place), ms, choice.damage, choice.size_bytes)


def _measured(menus: Sequence[Menu], scored: Scored) -> Plan:
    picks = [menu.entries[place] for menu, place in zip(menus, scored.picks, strict=True)]
    ms, size = sum(entry.ms for entry in picks), sum(entry.size_bytes for entry in picks)
    return Plan(tuple(picks), ms, scored.damage, size)


def _proposal(choices: Choices, plan: Plan) -> Proposal:
    picked = [menu[int(entry.name)] for menu, entry in zip(choices.menus, plan.picks, strict=True)]
    changed = sum(not choice.kept for choice in picked)
    return Proposal(_together(picked), plan.ms, plan.damage, changed)


def _together(picked: Sequence[Choice]) -> tuple[Step, ...]:
    """The passes of several blocks as one of each kind, with the parts of all of them."""
    options: dict[str, dict[str, Any]] = {}
    for step in (step for choice in picked for step in choice.steps):
        own = options.setdefault(step.name, {})
        for option, parts in step.options.items():
            # Parts are a list of names, or what is to become of each name.
            known = own.get(option, type(parts)())
            own[option] = {**known, **parts} if isinstance(parts, dict) else [*known, *parts]
    return tuple(Step(name, options[name]) for name in _ORDER if name in options)


def corrected_ms(ms: float, whole_ms: float, seen: Sequence[tuple[float, float]]) -> float:
    """A prediction as whole candidates have corrected it so far.

    Times of blocks don't add up, but what changing them saves goes together: savings are scaled by
    the median of what they came to before.

    Args:
        ms: predicted from blocks.
        whole_ms: what the network takes as it is.
        seen: of candidates so far, what was predicted from blocks and what was measured.
    """
    factors = [(whole_ms - measured) / (whole_ms - told) for told, measured in seen]
    return whole_ms - (whole_ms - ms) * (statistics.median(factors) if factors else 1.0)


@dataclass
class FrontierSearch:
    """The fastest point of a frontier that keeps the floor, found in few tries.

    What a try lost, as a multiple of what may be lost, says about how much damage is allowed, since
    losses grow with damage; so the next point is the one of so much damage. Where nothing was lost,
    or the last such guess left more than half of the points, what is left is halved instead.

    Attributes:
        points: the gentlest first.
        least_ratio: points nearer than this in time aren't told apart.
    """

    points: Sequence[Proposal]
    least_ratio: float = 1.04
    _good: int = field(default=-1, init=False)
    _bad: int = field(default=-1, init=False)
    _asked: int = field(default=-1, init=False)
    _allowed: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._bad = len(self.points)

    def ask(self) -> Proposal | None:
        """The next point to try; ``None`` where the answer is known."""
        low, high = self._good + 1, self._bad - 1
        if low > high:
            return None
        if self._good >= 0 and self.points[self._good].ms < self.least_ratio * self.points[high].ms:
            return None
        if self._allowed is not None:
            damages = [self.points[i].damage for i in range(low, high + 1)]
            self._asked = low + max(0, sum(d <= self._allowed for d in damages) - 1)
        else:
            share = _BEGIN if self._bad == len(self.points) and self._good < 0 else 0.5
            gentlest_ms = self.points[max(self._good, 0)].ms
            wanted = gentlest_ms + share * (self.points[high].ms - gentlest_ms)
            self._asked = min(range(low, high + 1), key=lambda i: abs(self.points[i].ms - wanted))
        return self.points[self._asked]

    def tell(self, *, good: bool, lost: float | None = None) -> None:
        """Say whether the point that was asked for keeps the floor.

        Args:
            good: whether it does.
            lost: quality, as a multiple of what may be lost; ``None`` where that isn't known.
        """
        left = self._bad - self._good - 1
        if good:
            self._good = self._asked
        else:
            self._bad = self._asked
        guessed, now = self._allowed is not None, self._bad - self._good - 1
        self._allowed = None
        if lost is not None and lost > 0 and not (guessed and now > left / 2):
            self._allowed = _PRUDENT * self.points[self._asked].damage / lost

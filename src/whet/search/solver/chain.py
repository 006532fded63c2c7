"""All best plans of a chain of blocks, by dynamic programming; pure.

Theory of operation. Along a chain, what was picked so far matters to what follows only by the form
in which the last block gives its answer. So for each form the plans up to here are kept that no
other beats in both time and damage, and each is lengthened by each entry of the next menu (a
multiple-choice knapsack with edge costs; Kellerer, Pferschy and Pisinger 2004). What is left in the
end is the whole frontier: no limit has to be named, and every limit is answered.

The number of plans kept could double with every block, so of those within a grain of time the one
with the least damage is kept, and the quickest of all. A plan for a limit is thus at most as many
grains away from the best one as there are blocks; its own figures are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet.search.solver.menu import Link, Menu, Plan, planned

__all__ = ["frontier"]

_GRAINS = 1 << 13  # of the time of the slowest plan

_Floats = NDArray[np.float64]
_Places = NDArray[np.int64]


@dataclass(frozen=True)
class _Kept:
    """Plans up to one block, (plans,): what they cost, the entry picked last, and whence they came."""

    ms: _Floats
    damage: _Floats
    entry: _Places
    before: _Places

    def some(self, which: NDArray[np.bool_] | _Places) -> _Kept:
        return _Kept(self.ms[which], self.damage[which], self.entry[which], self.before[which])


def frontier(menus: Sequence[Menu], links: Sequence[Link], *, grains: int = _GRAINS) -> list[Plan]:
    """The plans that no other beats in both time and damage, the quickest first.

    Args:
        menus: of the blocks in order, each of which takes the answer of the one before.
        links: from each block to the next, in order.
        grains: see above.

    Returns:
        An empty list where no forms fit together.
    """
    grain = sum(max(e.ms for e in menu.entries) for menu in menus) / grains
    kept = [_first(menus[0], grain)]
    for link, earlier, menu in zip(links, menus, menus[1:], strict=False):
        kept.append(_longer(kept[-1], earlier, link, menu, grain))
    last = kept[-1]
    plans = [_traced(kept, menus, links, place) for place in _best(last.ms, last.damage)]
    return [plan for plan in plans if plan is not None]


def _first(menu: Menu, grain: float) -> _Kept:
    count = len(menu.entries)
    ms, damage = (np.array([getattr(e, n) for e in menu.entries], float) for n in ("ms", "damage"))
    every = _Kept(ms, damage, np.arange(count), np.full(count, -1))
    return _by_form(every, menu, grain)


def _longer(kept: _Kept, earlier: Menu, link: Link, menu: Menu, grain: float) -> _Kept:
    """Plans with one more block."""
    gives = np.array([e.gives for e in earlier.entries])[kept.entry]
    parts = []
    for place, entry in enumerate(menu.entries):
        for form in np.unique(gives):
            cost = link.cost_ms(str(form), entry.takes)
            if cost is not None:
                before = np.flatnonzero(gives == form)
                parts.append(
                    _Kept(
                        kept.ms[before] + cost + entry.ms,
                        kept.damage[before] + entry.damage,
                        np.full(len(before), place),
                        before,
                    )
                )
    if not parts:
        return kept.some(np.zeros(0, np.int64))
    every = _Kept(
        *(
            np.concatenate([getattr(p, n) for p in parts])
            for n in ("ms", "damage", "entry", "before")
        )
    )
    return _by_form(every, menu, grain)


def _by_form(every: _Kept, menu: Menu, grain: float) -> _Kept:
    """The best of those that give the same form."""
    gives = np.array([e.gives for e in menu.entries])[every.entry]
    picked = []
    for form in np.unique(gives):
        own = np.flatnonzero(gives == form)
        picked.append(own[_thinned(every.ms[own], every.damage[own], grain)])
    return every.some(np.concatenate(picked))


def _best(ms: _Floats, damage: _Floats) -> _Places:
    """Places of those that no other beats in both, from the quickest on."""
    order = np.lexsort((damage, ms))
    least = np.minimum.accumulate(damage[order])
    fresh = np.ones(len(order), bool)
    fresh[1:] = damage[order][1:] < least[:-1]
    return order[fresh]


def _thinned(ms: _Floats, damage: _Floats, grain: float) -> _Places:
    """As `_best`, one a grain: the last, which does the least damage; and the quickest of all."""
    best = _best(ms, damage)
    if grain <= 0:
        return best
    grains = np.floor(ms[best] / grain)
    last = np.ones(len(best), bool)
    last[:-1] = grains[1:] != grains[:-1]
    last[0] = True
    return best[last]


def _traced(
    kept: Sequence[_Kept], menus: Sequence[Menu], links: Sequence[Link], place: int
) -> Plan | None:
    picks = []
    for step, menu in zip(reversed(kept), reversed(menus), strict=True):
        picks.append(menu.entries[step.entry[place]])
        place = int(step.before[place])
    return planned(picks[::-1], links)

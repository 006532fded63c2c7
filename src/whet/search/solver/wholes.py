"""Plans over blocks put together with changes of the network as a whole; pure.

A slimmer stream, a smaller picture or fewer tokens change what every choice of every block costs,
and menus for each of them would take as long as all others do. So such a change is priced once, by itself: the
share of the network's time that is left, and its damage. Together with a plan, the plan's time
shrinks by that share, and damages are added, as they are between blocks. Whether that ranks them
well is found out by trying, like all else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from whet.core.recipe import Step
from whet.search.solver.proposals import LEAST_GAIN, Proposal, best_of

__all__ = ["AFTER_REPAIR", "WholeEntry", "with_wholes"]

# As passes follow each other, before those over blocks; and what comes behind these and the repair.
_ORDER = ("resize", "slim")
AFTER_REPAIR = ("merge-tokens",)


@dataclass(frozen=True)
class WholeEntry:
    """A change of the network as a whole.

    Attributes:
        step: the pass.
        ratio: of the network's time, what is left of it.
        damage: alone.
        stays: the least share of a width of the stream that stays.
    """

    step: Step
    ratio: float
    damage: float
    stays: float = 1.0


def with_wholes(
    points: Sequence[Proposal], entries: Sequence[WholeEntry], whole_ms: float
) -> tuple[Proposal, ...]:
    """The plans that no other beats in both time and damage, the gentlest first.

    Args:
        points: plans over blocks, by themselves.
        entries: changes of the whole; at most one of each pass is in a plan.
        whole_ms: that the network takes as it is.
    """
    nothing = Proposal((), whole_ms, 0.0, 0)
    found = [
        _together(point, picked)
        for picked in _picks(entries)
        for point in (nothing, *points)
        if picked or point is not nothing
    ]
    return best_of(p for p in found if p.ms < (1 - LEAST_GAIN) * whole_ms)


def _picks(entries: Sequence[WholeEntry]) -> Iterator[tuple[WholeEntry, ...]]:
    """At most one entry of each pass, in the order of passes."""
    names = (*_ORDER, *AFTER_REPAIR)
    kinds = [[None, *(e for e in entries if e.step.name == name)] for name in names]
    for picked in product(*kinds):
        yield tuple(entry for entry in picked if entry is not None)


def _together(point: Proposal, picked: tuple[WholeEntry, ...]) -> Proposal:
    steps, ms, damage = point.steps, point.ms, point.damage
    for entry in reversed(picked):
        steps = tuple(_fitting(step, entry.stays) for step in steps)
        last = entry.step.name in AFTER_REPAIR
        steps = (*steps, entry.step) if last else (entry.step, *steps)
        ms, damage = ms * entry.ratio, damage + entry.damage
    return replace(point, steps=steps, ms=ms, damage=damage)


def _fitting(step: Step, stays: float) -> Step:
    """Ranks of layers that have fewer channels shrink with them: a pair is to stay the cheaper."""
    if step.name != "factor" or stays == 1:
        return step
    ranks = {layer: max(1, int(rank * stays)) for layer, rank in step.options["ranks"].items()}
    return Step(step.name, {**step.options, "ranks": ranks})

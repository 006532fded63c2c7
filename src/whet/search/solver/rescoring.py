"""Plans whose damages are measured together, for networks in which damages don't add up; pure.

Theory of operation. From the network as it is, a plan grows by one choice at a time: the one that
saves most time for the damage that it adds to what is chosen already, which may be a stronger one
for a block that was changed before. What a choice adds has to be measured in the context of all
others, which changes with every step, and to measure everything after every step would take as
many looks as the square of what there is to choose from. So the looks are lazy (Minoux 1978): what
was measured in an earlier context stands until it is on top; then it is measured again, and taken if
it stays there. That finds just what measuring everything would, as long as no choice adds less in a
later context than it did before, which holds where damages add up or make each other worse; where
they make up for each other, a choice may wait longer than it should.

Steps by a single choice are coarser than what a solver of sums puts together, and where changes are
few their sums say enough. So plans of that solver can be looked at first: what comes of all is never
worse than those are.

Whatever was looked at is a plan with a damage of its own, so all of it counts, and what was found
by the time that looking ends is as good as if it had been all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from whet.optimize.network.menus.menu import Scored
from whet.search.solver.menu import Menu, Plan

__all__ = ["Damage", "rescored", "spread"]

Damage = Callable[[tuple[int, ...]], float | None]
"""Of one pick from each menu, all at once; ``None`` where there is no time to look."""

_Move = tuple[int, int]
"""A menu, and the place of one of its entries."""


def rescored(
    menus: Sequence[Menu], damage: Damage, begin: Sequence[Sequence[int]] = ()
) -> Iterator[Scored]:
    """Plans with the damages that they do, as they are found; it ends where no look is left.

    Args:
        menus: of the blocks, each as it is first. Damages of entries are those they do alone.
        damage: measures a plan.
        begin: plans to look at first, as picks.

    Yields:
        Each entry that saves time alone, then every plan that was looked at.
    """
    path = _Path(menus)
    known = {path.picks_with(move): adds for move, adds in path.adds.items()}
    yield from (Scored(picks, found) for picks, found in known.items())
    for each in begin:
        if (picks := tuple(each)) not in known:
            found = damage(picks)
            if found is None:
                return
            known[picks] = found
            yield Scored(picks, found)
    while (move := path.top()) is not None:
        if move in path.fresh:
            path.take(move)
            continue
        picks = path.picks_with(move)
        if picks not in known:
            found = damage(picks)
            if found is None:
                return
            known[picks] = found
            yield Scored(picks, found)
        path.see(move, known[picks])


def spread(plans: Sequence[Plan], count: int) -> list[tuple[int, ...]]:
    """Picks of some plans whose times are about evenly spread, those that change nothing left out.

    Args:
        plans: over menus whose entries are named by their places.
        count: of them, at most.
    """
    by_ms = sorted(plans, key=lambda plan: plan.ms)
    found: dict[tuple[int, ...], None] = {}
    for i in range(count if by_ms else 0):
        most_ms = by_ms[0].ms + (by_ms[-1].ms - by_ms[0].ms) * i / count
        last = [plan for plan in by_ms if plan.ms <= most_ms][-1]
        found[tuple(int(entry.name) for entry in last.picks)] = None
    return [picks for picks in found if any(picks)]


class _Path:
    """What is chosen, and what each move from there saves and adds, as far as is known.

    Attributes:
        adds: damage of each move, as it was when it was last looked at.
        fresh: moves that were looked at from here, with the damage of the plan that they make.
    """

    def __init__(self, menus: Sequence[Menu]) -> None:
        self._ms = [[entry.ms for entry in menu.entries] for menu in menus]
        self._picks, self._damage = [0] * len(menus), 0.0
        self.adds: dict[_Move, float] = {
            (block, place): entry.damage
            for block, menu in enumerate(menus)
            for place, entry in enumerate(menu.entries)
            if entry.ms < menu.entries[0].ms
        }
        self.fresh = dict(self.adds)  # nothing is chosen yet, so alone is in this context

    def picks_with(self, move: _Move) -> tuple[int, ...]:
        block, place = move
        return tuple(place if i == block else pick for i, pick in enumerate(self._picks))

    def top(self) -> _Move | None:
        """The move that saves most for what it adds; of those that add nothing what saves most."""
        return max(self.adds, key=self._worth, default=None)

    def see(self, move: _Move, damage: float) -> None:
        """Say what plan a move makes from here."""
        self.adds[move], self.fresh[move] = damage - self._damage, damage

    def take(self, move: _Move) -> None:
        """Go on from there."""
        block, place = move
        own, self._damage = self.adds[move], self.fresh[move]
        self._picks[block] = place
        for block_too, other in list(self.adds):
            if block_too == block:
                # Only what is faster still is a move now, and it adds what it did beyond this one.
                if self._ms[block][other] < self._ms[block][place]:
                    self.adds[block, other] -= own
                else:
                    del self.adds[block, other]
        self.fresh = {}

    def _worth(self, move: _Move) -> tuple[float, float]:
        block, place = move
        saves, adds = self._ms[block][self._picks[block]] - self._ms[block][place], self.adds[move]
        return (saves / adds if adds > 0 else float("inf"), saves)

"""Latency-aware restore: which groups to make float again, and which of those int8 after all.

A quantised candidate that loses too much quality is repaired in two phases,
both driven by asking for a candidate and being told how it did, so that this
module knows no clock, no file and no framework.

1. *Restore.* Groups are ranked by damage. The shortest prefix of that ranking
   that keeps the quality is found by galloping (1, 2, 4, ... groups) and then
   bisection: at most about ``2 log2 k`` candidates for an answer of ``k`` groups.
   Groups that int8 makes clearly slower are float from the start; they cost nothing.
   A prefix that fails and is no faster than what is safe already ends the search: every
   longer one is slower still. One that holds never does: fewer groups may do.
2. *Re-quantise.* Of the groups now float, the one with the most milliseconds
   regained per unit of damage becomes int8 again; it stays so if the quality
   holds, and the next is tried. The last group of the prefix is left out: the
   bisection has shown that it is needed.

The first phase is the restore-by-ranking of the accuracy-aware quantisers; the
second is what makes it latency-aware.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from whet.errors import OptionError
from whet.optimize.graph.quantize.groups import Group

__all__ = ["RestoreSearch", "Restored", "by_damage", "by_gain", "plan_restore"]

# Damage below this is noise; it keeps the gain per damage finite.
_FLOOR = 1e-12
# A loss of time counts from this share of all that int8 saves; times of single
# layers are noisy, and a float layer between int8 ones costs conversions.
_MARGIN = 0.02


def by_damage(damage: Mapping[str, float]) -> tuple[str, ...]:
    """Names, the most damaging first; equal ones by name."""
    return tuple(sorted(damage, key=lambda name: (-damage[name], name)))


def by_gain(
    names: Iterable[str], damage: Mapping[str, float], ms: Mapping[str, float]
) -> tuple[str, ...]:
    """Names in order of milliseconds regained per unit of damage, the best first."""

    def worth(name: str) -> float:
        return ms.get(name, 0.0) / max(damage.get(name, 0.0), _FLOOR)

    return tuple(sorted(names, key=lambda name: (-worth(name), damage.get(name, 0.0), name)))


def _slowed(ms: Mapping[str, float]) -> frozenset[str]:
    """Groups that int8 makes clearly slower."""
    margin = _MARGIN * sum(saved for saved in ms.values() if saved > 0)
    return frozenset(name for name, saved in ms.items() if saved < -margin)


def plan_restore(
    damage: Mapping[str, float],
    ms: Mapping[str, float] | None = None,
    *,
    share: float = 0.5,
    max_groups: int | None = None,
) -> tuple[str, ...]:
    """Groups to make float without asking anyone: a guess in one step.

    Greedy: damage removed per millisecond given up, until ``share`` of the
    whole damage is gone or ``max_groups`` are float. Without times every group
    costs the same, so it is the ranking by damage.

    Raises:
        OptionError: a share outside 0-1.
    """
    if not 0 <= share <= 1:
        raise OptionError(f"share={share} is no share of the damage.", "Give a number from 0 to 1.")
    order = by_damage(damage)
    if ms is not None:
        slowed = _slowed(ms)
        free = [name for name in order if name in slowed]
        order = (*free, *reversed(by_gain(set(order) - set(free), damage, ms)))
    left = share * sum(damage.values())
    chosen: list[str] = []
    for name in order[: len(order) if max_groups is None else max_groups]:
        if left <= 0:
            break
        chosen.append(name)
        left -= damage[name]
    return tuple(chosen)


@dataclass(frozen=True)
class Restored:
    """A candidate that kept the quality.

    Attributes:
        ignored: operators in float, for the quantiser's ``ignored``.
        groups: their groups, the most damaging first.
    """

    ignored: frozenset[str]
    groups: tuple[str, ...]
    drop: float
    ms: float | None


class RestoreSearch:
    """Ask for a set of operators to leave in float, tell how the candidate did, repeat.

    Asking twice without telling gives the same set. The same answers give the
    same questions, so a search that is resumed from a ledger repeats nothing.

    Args:
        groups: of the quantised graph.
        damage: per group name; groups without a figure are never restored.
        ms: milliseconds that int8 saves per group; missing ones count as 0.
        max_groups: most groups that may be float.
        max_asks: most candidates to try.

    Raises:
        OptionError: no groups to restore, or a limit below 1.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        damage: Mapping[str, float],
        ms: Mapping[str, float] | None = None,
        *,
        max_groups: int | None = None,
        max_asks: int = 16,
    ) -> None:
        times = dict(ms or {})
        known = {group.name: group for group in groups if group.name in damage}
        if not known:
            raise OptionError(
                "There is no group to restore.",
                "Quantise first, and measure the damage of its groups.",
            )
        if max_asks < 1 or (max_groups is not None and max_groups < 1):
            raise OptionError("A search for nothing can't help.", "Give limits of 1 or more.")
        self._members = {name: group.members for name, group in known.items()}
        self._damage = {name: damage[name] for name in known}
        self._ms = times
        slowed = _slowed(times)
        self._free = tuple(name for name in by_damage(self._damage) if name in slowed)
        ranked = tuple(n for n in by_damage(self._damage) if n not in self._free)
        self._ranked = ranked if max_groups is None else ranked[:max_groups]
        self._asks_left = max_asks
        # Phase 1: prefixes known to fail (up to) and known to hold; none holds yet.
        # With groups that are free, the empty prefix is news too.
        self._fails = -1 if self._free else 0
        self._holds: int | None = None
        self._over = False
        # Phase 2: groups still float, and those not tried yet.
        self._kept: tuple[str, ...] | None = None
        self._untried: list[str] = []
        self._asked: tuple[str, ...] | None = None
        self._best: Restored | None = None

    @property
    def best(self) -> Restored | None:
        """The fastest candidate that kept the quality; ``None`` until one did."""
        return self._best

    def ask(self) -> frozenset[str] | None:
        """Operators to leave in float in the next candidate; ``None`` when done."""
        if self._asked is None:
            self._asked = self._next() if self._asks_left > 0 and not self._over else None
        return None if self._asked is None else self._ignored(self._asked)

    def tell(
        self, *, quality_ok: bool, drop: float, ms: float | None = None, beaten: bool = False
    ) -> None:
        """How the candidate that was asked for did.

        Args:
            quality_ok: whether it kept the quality; a candidate that failed to
                build or run did not.
            drop: its loss of quality.
            ms: its measured latency, where there is one.
            beaten: whether something that keeps the quality anyway was measured to be as fast.

        Raises:
            OptionError: nothing was asked.
        """
        if self._asked is None:
            raise OptionError("Nothing was asked.", "Call ask() before tell().")
        asked, self._asked = self._asked, None
        self._asks_left -= 1
        if quality_ok:
            self._keep_best(asked, drop, ms)
        if self._kept is None:
            self._told_prefix(len(asked) - len(self._free), quality_ok=quality_ok)
            self._over = beaten and not quality_ok
        elif quality_ok:
            self._kept = asked

    def _ignored(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(member for name in names for member in self._members[name])

    def _keep_best(self, asked: tuple[str, ...], drop: float, ms: float | None) -> None:
        best = self._best
        slower = best is not None and None not in (best.ms, ms) and (ms or 0.0) > (best.ms or 0.0)
        if not slower:
            names = tuple(name for name in by_damage(self._damage) if name in set(asked))
            self._best = Restored(self._ignored(asked), names, drop, ms)

    def _told_prefix(self, size: int, *, quality_ok: bool) -> None:
        if quality_ok:
            self._holds = size
        else:
            self._fails = size
        if self._holds is not None and self._holds - self._fails <= 1:
            prefix = self._ranked[: self._holds]
            self._kept = (*self._free, *prefix)
            # Without the last one, the prefix was tried and failed.
            self._untried = list(by_gain(prefix[:-1], self._damage, self._ms))

    def _next(self) -> tuple[str, ...] | None:
        if self._kept is not None:
            if not self._untried:
                return None
            again = self._untried.pop(0)
            return tuple(name for name in self._kept if name != again)
        size = self._next_size()
        return None if size is None else (*self._free, *self._ranked[:size])

    def _next_size(self) -> int | None:
        if self._holds is not None:
            return (self._fails + self._holds) // 2
        if self._fails >= len(self._ranked):
            return None  # all that may be float is float, and still too much is lost
        return min(len(self._ranked), 2 * self._fails) if self._fails > 0 else self._fails + 1

"""Plans scored together: as good as measuring everything where damages add up, better where not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.optimize.network.menus.menu import Scored
from whet.search.solver.general import solve
from whet.search.solver.menu import Entry, Menu
from whet.search.solver.proposals import summed
from whet.search.solver.rescoring import Damage, rescored, spread

Picks = tuple[int, ...]


def menu(block: str, *entries: tuple[float, float]) -> Menu:
    """Entries as ms and damage alone."""
    return Menu(block, tuple(Entry(str(i), ms, lost) for i, (ms, lost) in enumerate(entries)))


def ms_of(menus: list[Menu], picks: Picks) -> float:
    return sum(m.entries[place].ms for m, place in zip(menus, picks, strict=True))


def sum_of(menus: list[Menu], picks: Picks) -> float:
    return sum(m.entries[place].damage for m, place in zip(menus, picks, strict=True))


def greedily(menus: list[Menu], damage: Damage) -> tuple[list[Scored], int]:
    """The plain way: after each step all that can be done next is measured. Path and looks."""
    picks, path, looks, now = tuple(0 for _ in menus), list[Scored](), 0, 0.0
    while True:
        found = []
        for block, each in enumerate(menus):
            for place, entry in enumerate(each.entries):
                saved = each.entries[picks[block]].ms - entry.ms
                if saved > 0:
                    then = (*picks[:block], place, *picks[block + 1 :])
                    total = damage(then)
                    assert total is not None
                    looks, added = looks + 1, total - now
                    worth = saved / added if added > 1e-12 else float("inf")
                    found.append((worth, saved, then, total))
        if not found:
            return path, looks
        _, _, picks, now = max(found)
        path.append(Scored(picks, now))


def matched(menus: list[Menu], scored: list[Scored], at: Scored) -> bool:
    """Whether something is as fast as another plan and does no more damage."""
    return any(
        ms_of(menus, s.picks) <= ms_of(menus, at.picks) + 1e-9 and s.damage <= at.damage + 1e-9
        for s in scored
    )


entries = st.lists(
    st.tuples(st.integers(1, 40).map(float), st.integers(1, 60).map(float)), max_size=4
)
networks = st.lists(st.tuples(st.integers(10, 50).map(float), entries), min_size=1, max_size=5).map(
    lambda found: [menu(str(i), (ms, 0.0), *rest) for i, (ms, rest) in enumerate(found)]
)


@given(networks)
def test_where_damages_add_up_it_finds_what_measuring_everything_finds(menus: list[Menu]) -> None:
    looked = list[Picks]()

    def look(picks: Picks) -> float:
        looked.append(picks)
        return sum_of(menus, picks)

    found = list(rescored(menus, look))
    path, looks = greedily(menus, lambda picks: sum_of(menus, picks))
    assert all(s.damage == pytest.approx(sum_of(menus, s.picks)) for s in found)
    assert all(matched(menus, found, step) for step in path)
    assert len(looked) <= looks
    assert len({s.picks for s in found}) == len(found), "nothing is looked at twice"


@given(networks, st.randoms(use_true_random=False), st.integers(0, 30))
def test_whatever_the_damages_what_was_looked_at_counts(
    menus: list[Menu], random: object, most: int
) -> None:
    damages: dict[Picks, float] = {}

    def look(picks: Picks) -> float:
        return damages.setdefault(picks, random.uniform(-1, 9))  # type: ignore[attr-defined]

    whole = list(rescored(menus, look))
    left = [most]

    def few(picks: Picks) -> float | None:
        left[0] -= 1
        return damages[picks] if left[0] >= 0 else None

    part = list(rescored(menus, few))
    alone = sum(sum(place > 0 for place in s.picks) == 1 for s in part)
    assert part == whole[: len(part)], "the same as far as it went"
    assert len(part) <= alone + most
    if left[0] >= 0:
        assert part == whole
    fastest = tuple(min(range(len(m.entries)), key=lambda i: m.entries[i].ms) for m in menus)
    if any(fastest):
        assert min(ms_of(menus, s.picks) for s in whole) == ms_of(menus, fastest), "to the end"


def test_blocks_that_make_each_other_worse_are_not_changed_together() -> None:
    """Alone `a` and `b` do the least damage, together the most; a solver of sums can't know."""
    menus = [menu(name, (10.0, 0.0), (5.0, lost)) for name, lost in (("a", 1), ("b", 1), ("c", 3))]

    def together(picks: Picks) -> float:
        return sum_of(menus, picks) + (50 if picks[:2] == (1, 1) else 0)

    added = solve(menus, [], most_ms=20.0)
    assert added is not None
    assert tuple(int(e.name) for e in added.picks) == (1, 1, 0)
    found = list(rescored(menus, together))
    best = min((s for s in found if ms_of(menus, s.picks) <= 20.0), key=lambda s: s.damage)
    assert best.picks in {(1, 0, 1), (0, 1, 1)}
    assert best.damage == 4.0 < together((1, 1, 0)) == 52.0


@given(networks, st.randoms(use_true_random=False))
def test_plans_of_sums_are_looked_at_first_and_it_is_never_worse_than_they_are(
    menus: list[Menu], random: object
) -> None:
    begin = spread(summed(menus, [i - 1 for i in range(len(menus))]), 8)
    assert len(begin) <= 8
    assert all(any(picks) for picks in begin)
    damages: dict[Picks, float] = {}

    def look(picks: Picks) -> float:
        return damages.setdefault(picks, random.uniform(0, 9))  # type: ignore[attr-defined]

    found = {s.picks: s.damage for s in rescored(menus, look, begin)}
    assert found.keys() >= set(begin)
    several = [picks for picks in begin if sum(place > 0 for place in picks) > 1]
    assert list(damages)[: len(several)] == several


def test_plans_of_sums_are_spread_over_all_times() -> None:
    menus = [menu(str(b), (10.0, 0.0), (6.0, 1.0 + b), (2.0, 4.0 + b)) for b in range(6)]
    plans = summed(menus, [-1, 0, 1, 2, 3, 4])
    times = [ms_of(menus, picks) for picks in spread(plans, 5)]
    assert times == sorted(times)
    assert times[0] == 12.0, "the fastest is among them"
    assert len(times) == 5
    assert max(b - a for a, b in pairwise([*times, 60.0])) < 16.0


def test_a_block_goes_on_to_a_stronger_choice() -> None:
    menus = [menu("a", (10.0, 0.0), (6.0, 1.0), (2.0, 4.0)), menu("b", (10.0, 0.0), (8.0, 9.0))]
    found = {s.picks: s.damage for s in rescored(menus, lambda p: sum_of(menus, p))}
    assert found == {(1, 0): 1.0, (2, 0): 4.0, (0, 1): 9.0, (2, 1): 13.0}


def test_few_looks_are_enough_for_many_choices() -> None:
    rising = [(100.0 - 10 * i, float(i * i)) for i in range(8)]
    menus = [menu(str(b), *((ms, lost * (b + 1)) for ms, lost in rising)) for b in range(12)]
    looked = list[Picks]()

    def look(picks: Picks) -> float:
        looked.append(picks)
        return sum_of(menus, picks)

    found = list(rescored(menus, look))
    path, looks = greedily(menus, lambda picks: sum_of(menus, picks))
    assert all(matched(menus, found, step) for step in path)
    assert len(looked) < looks / 10


def test_what_saves_no_time_is_never_looked_at() -> None:
    menus = [menu("a", (10.0, 0.0), (10.0, 0.1), (12.0, 0.1)), menu("b", (5.0, 0.0))]
    assert list(rescored(menus, lambda _: pytest.fail("nothing to look at"))) == []

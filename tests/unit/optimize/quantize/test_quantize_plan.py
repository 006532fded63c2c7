from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.errors import OptionError
from whet.optimize.graph.quantize.groups import Group
from whet.optimize.graph.quantize.plan import (
    Restored,
    RestoreSearch,
    by_damage,
    by_gain,
    plan_restore,
)


def groups_of(damage: dict[str, float]) -> tuple[Group, ...]:
    return tuple(Group(name, (f"{name}/op",), (f"{name}/q",)) for name in damage)


def drive(
    search: RestoreSearch,
    damage: dict[str, float],
    ms: dict[str, float],
    *,
    allowed: float,
    rival_ms: float = math.inf,
) -> tuple[list[frozenset[str]], Restored | None]:
    """Play a world in which damages add up: quality holds when what is left is allowed.

    All int8 takes 10 ms; something else that keeps the quality takes ``rival_ms``.
    """
    asked = []
    while (ignored := search.ask()) is not None:
        asked.append(ignored)
        left = sum(d for name, d in damage.items() if f"{name}/op" not in ignored)
        lost = sum(ms.get(name, 0.0) for name in damage if f"{name}/op" in ignored)
        search.tell(
            quality_ok=left <= allowed, drop=left, ms=10 + lost, beaten=10 + lost >= rival_ms
        )
    return asked, search.best


def test_by_damage_breaks_ties_by_name() -> None:
    assert by_damage({"b": 1.0, "a": 1.0, "c": 2.0}) == ("c", "a", "b")


def test_by_gain_is_ms_per_damage() -> None:
    order = by_gain(["a", "b", "c"], {"a": 1.0, "b": 4.0, "c": 0.5}, {"a": 1.0, "b": 2.0})
    assert order == ("a", "b", "c")


def test_restores_the_shortest_prefix_and_then_buys_time_back() -> None:
    damage = {"a": 8.0, "b": 4.0, "c": 2.0, "d": 1.0, "e": 0.5}
    ms = {"a": 1.0, "b": 5.0, "c": 1.0, "d": 1.0, "e": 1.0}
    # 15.5 in all; at most 5 may be left: a, b float leaves 3.5, a alone leaves 7.5;
    # a and c float would leave 5.5, so b must stay, though its milliseconds are many.
    asked, best = drive(RestoreSearch(groups_of(damage), damage, ms), damage, ms, allowed=5.0)
    assert [sorted(s) for s in asked] == [["a/op"], ["a/op", "b/op"], ["b/op"]]
    assert best is not None
    assert best.groups == ("a", "b")
    assert (best.drop, best.ms) == (3.5, 16.0)


def test_requantises_the_group_with_most_ms_per_damage_first() -> None:
    damage = {"a": 5.0, "b": 4.0, "c": 3.0, "d": 2.0}
    ms = {"a": 1.0, "b": 8.0, "c": 1.0, "d": 1.0}
    # Prefixes leave 14, 9, 5, 2, 0: three are needed for 3. b again would leave 6.
    search = RestoreSearch(groups_of(damage), damage, ms)
    asked, best = drive(search, damage, ms, allowed=3.0)
    assert [sorted(s)[0][0] + str(len(s)) for s in asked[:3]] == ["a1", "a2", "a4"]
    assert sorted(asked[4]) == ["a/op", "c/op"], "b is tried as int8 before a"
    assert best is not None
    assert best.groups == ("a", "b", "c")


def test_groups_that_int8_slows_down_are_float_from_the_start_and_stay_so() -> None:
    damage = {"a": 5.0, "b": 1.0, "slow": 2.0}
    ms = {"a": 1.0, "b": 1.0, "slow": -0.5}
    asked, best = drive(RestoreSearch(groups_of(damage), damage, ms), damage, ms, allowed=6.0)
    assert asked == [frozenset({"slow/op"})]
    assert best is not None
    assert best.groups == ("slow",)


def test_gives_up_when_nothing_helps() -> None:
    damage = dict.fromkeys("abcdefgh", 1.0)
    search = RestoreSearch(groups_of(damage), damage, max_groups=5)
    sizes = []
    while (ignored := search.ask()) is not None:
        sizes.append(len(ignored))
        search.tell(quality_ok=False, drop=1.0)
    assert sizes == [1, 2, 4, 5]
    assert search.best is None


def test_one_that_holds_and_is_beaten_is_made_faster_until_it_wins() -> None:
    """Four groups hold at 24 ms; the rival takes 18 ms, and the answer 13 ms."""
    damage = {"a": 8.0, "b": 7.0, "c": 6.0, "d": 5.0, "e": 1.0}
    ms = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 11.0, "e": 1.0}
    search = RestoreSearch(groups_of(damage), damage, ms)
    asked, best = drive(search, damage, ms, allowed=7.0, rival_ms=18.0)
    assert [len(s) for s in asked[:4]] == [1, 2, 4, 3]
    assert len(asked[2] & {"d/op"}) == 1, "the first that holds has the slow one, and is beaten"
    assert best is not None
    assert (best.groups, best.ms) == (("a", "b", "c"), 13.0)


def test_one_that_fails_and_is_beaten_ends_the_search() -> None:
    damage = {"a": 8.0, "b": 7.0, "c": 6.0, "d": 5.0, "e": 1.0}
    ms = dict.fromkeys(damage, 5.0)
    search = RestoreSearch(groups_of(damage), damage, ms)
    asked, best = drive(search, damage, ms, allowed=1.0, rival_ms=18.0)
    assert [len(s) for s in asked] == [1, 2]  # two float groups take 20 ms and don't suffice
    assert best is None


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=24), st.data())
def test_a_rival_never_hides_a_prefix_that_would_beat_it(
    values: list[float], data: st.DataObject
) -> None:
    damage = {f"g{n}": value for n, value in enumerate(values)}
    ms = {name: data.draw(st.floats(0.1, 10)) for name in damage}
    allowed = data.draw(st.floats(0.001, sum(values)))
    rival_ms = 10 + data.draw(st.floats(0, sum(ms.values())))
    ranked = by_damage(damage)
    enough = next(
        k for k in range(1, len(ranked) + 1) if sum(damage[n] for n in ranked[k:]) <= allowed
    )
    prefix_ms = 10 + sum(ms[n] for n in ranked[:enough])
    search = RestoreSearch(groups_of(damage), damage, ms, max_asks=1000)
    _, best = drive(search, damage, ms, allowed=allowed, rival_ms=rival_ms)
    if prefix_ms < rival_ms:
        assert best is not None
        assert best.ms is not None
        assert best.ms <= prefix_ms + 1e-9


def test_asking_twice_is_the_same_question() -> None:
    search = RestoreSearch(groups_of({"a": 1.0}), {"a": 1.0})
    assert search.ask() == search.ask()


def test_a_budget_of_questions_is_kept() -> None:
    damage = {str(n): float(n + 1) for n in range(50)}
    search = RestoreSearch(groups_of(damage), damage, max_asks=3)
    asked, _ = drive(search, damage, {}, allowed=5.0)
    assert len(asked) == 3


@pytest.mark.parametrize("limits", [{"max_asks": 0}, {"max_groups": 0}])
def test_refuses_empty_limits(limits: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        RestoreSearch(groups_of({"a": 1.0}), {"a": 1.0}, **limits)


def test_refuses_to_be_told_what_it_did_not_ask() -> None:
    with pytest.raises(OptionError, match="Nothing was asked"):
        RestoreSearch(groups_of({"a": 1.0}), {"a": 1.0}).tell(quality_ok=True, drop=0.0)


def test_refuses_groups_without_damage() -> None:
    with pytest.raises(OptionError, match="no group"):
        RestoreSearch(groups_of({"a": 1.0}), {})


@given(
    st.lists(st.floats(0.01, 100), min_size=1, max_size=40),
    st.data(),
)
def test_in_a_world_where_damages_add_up_the_answer_holds_and_is_found_quickly(
    values: list[float], data: st.DataObject
) -> None:
    damage = {f"g{n}": value for n, value in enumerate(values)}
    ms = {name: data.draw(st.floats(0.1, 10)) for name in damage}
    allowed = data.draw(st.floats(0.001, sum(values)))
    search = RestoreSearch(groups_of(damage), damage, ms, max_asks=1000)
    asked, best = drive(search, damage, ms, allowed=allowed)
    assert best is not None, "with everything in float nothing is lost"
    left = sum(d for name, d in damage.items() if f"{name}/op" not in best.ignored)
    assert left <= allowed
    ranked = by_damage(damage)
    sums = [sum(damage[name] for name in ranked[size:]) for size in range(len(ranked) + 1)]
    needed = next(k for k in range(len(ranked) + 1) if k > 0 and sums[k] <= allowed)
    assert len(best.groups) <= needed, "never more float groups than the ranking alone needs"
    assert len(asked) <= 2 * math.ceil(math.log2(needed + 1)) + 1 + needed
    assert len(set(asked)) == len(asked), "no candidate twice"


def test_plan_restore_takes_the_most_damaging_up_to_a_share() -> None:
    damage = {"a": 6.0, "b": 3.0, "c": 1.0}
    assert plan_restore(damage, share=0.5) == ("a",)
    assert plan_restore(damage, share=0.7) == ("a", "b")
    assert plan_restore(damage, share=1.0, max_groups=2) == ("a", "b")
    assert plan_restore(damage, share=0.0) == ()


def test_plan_restore_gives_up_few_milliseconds() -> None:
    damage = {"a": 6.0, "b": 5.0, "free": 0.1}
    chosen = plan_restore(damage, {"a": 10.0, "b": 1.0, "free": 0.0}, share=0.45)
    assert chosen == ("free", "b")


def test_plan_restore_refuses_a_share_over_one() -> None:
    with pytest.raises(OptionError):
        plan_restore({"a": 1.0}, share=1.5)

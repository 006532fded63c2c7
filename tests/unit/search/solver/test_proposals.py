from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.artifact import Artifact, Format
from whet.core.recipe import Step
from whet.core.spec import Signature
from whet.optimize.network.menus.menu import Choice, Choices, Scored
from whet.search.solver.proposals import (
    FrontierSearch,
    Proposal,
    corrected_ms,
    proposals,
)


def choice(block: str, graph: str, damage: float, *steps: Step) -> Choice:
    artifact = Artifact(graph, Format.ONNX, Signature((), ()))
    return Choice(block, steps, damage, 100, artifact)


def narrow(**units: int) -> Step:
    return Step("narrow", {"units": {name.replace("_", "."): n for name, n in units.items()}})


def three_blocks(entries: tuple[int, ...] = (-1, 0, 1)) -> tuple[Choices, dict[str, float]]:
    menus = (
        (choice("stem", "s", 0.0),),
        (
            choice("a", "a", 0.0),
            choice("a", "a8", 0.1, narrow(a_w=8)),
            choice("a", "ab", 0.5, Step("drop", {"blocks": ["a"]})),
        ),
        (choice("b", "b", 0.0), choice("b", "b8", 0.3, narrow(b_w=8))),
    )
    ms = {"s": 1.0, "a": 4.0, "a8": 2.0, "ab": 0.5, "b": 5.0, "b8": 3.0}
    return Choices(menus, entries, (), ()), ms


@pytest.mark.parametrize("entries", [(-1, 0, 1), (-1, 0, 0)], ids=["chain", "branches"])
def test_plans_go_from_the_gentlest_to_the_fastest(entries: tuple[int, ...]) -> None:
    choices, ms = three_blocks(entries)
    found = proposals(choices, ms, whole_ms=20.0)
    assert [p.damage for p in found] == sorted(p.damage for p in found)
    assert [p.ms for p in found] == sorted((p.ms for p in found), reverse=True)
    # Times are scaled to the whole: 10 ms of blocks are 20 ms of network.
    assert found[0].ms == pytest.approx(2 * (1 + 2 + 5))
    assert found[-1].ms == pytest.approx(2 * (1 + 0.5 + 3))
    assert found[0].steps == (Step("narrow", {"units": {"a.w": 8}}),)
    assert found[-1].steps == (
        Step("narrow", {"units": {"b.w": 8}}),
        Step("drop", {"blocks": ["a"]}),
    )


def test_passes_of_all_blocks_become_one_of_each_in_their_order() -> None:
    def menu(block: str, *steps: Step) -> tuple[Choice, Choice]:
        return choice(block, block, 0.0), choice(block, f"{block}'", 0.1, *steps)

    menus = (
        menu("a", Step("drop", {"blocks": ["a"]})),
        menu("b", Step("factor", {"ranks": {"b.w": 4}})),
        menu("c", Step("factor", {"ranks": {"c.v": 2}}), narrow(c_w=8)),
        menu("d", narrow(d_w=8)),
        menu("e", Step("drop", {"blocks": ["e"]})),
        menu("f", Step("separate", {"layers": {"f.w": 2}})),
    )
    ms = {c.graph.path: 1.0 if c.kept else 0.1 for m in menus for c in m}
    fastest = proposals(Choices(menus, (-1, 0, 1, 2, 3, 4), (), ()), ms, 6.0)[-1]
    assert fastest.changed == 6
    assert fastest.steps == (
        narrow(c_w=8, d_w=8),
        Step("factor", {"ranks": {"b.w": 4, "c.v": 2}}),
        Step("separate", {"layers": {"f.w": 2}}),
        Step("drop", {"blocks": ["a", "e"]}),
    )


def test_what_gains_next_to_nothing_is_not_proposed() -> None:
    choices, ms = three_blocks()
    assert proposals(choices, {**ms, "a8": 3.9, "ab": 3.95, "b8": 4.9}, whole_ms=20.0) == ()


def test_plans_scored_together_have_the_damage_that_was_measured() -> None:
    choices, ms = three_blocks()
    scored = [
        Scored((0, 1, 0), 0.1),
        Scored((0, 1, 1), 0.9),  # 0.4 as a sum
        Scored((0, 2, 0), 0.95),  # slower than the one before it, and worse
        Scored((0, 2, 1), 1.5),
    ]
    added, found = proposals(choices, ms, 20.0), proposals(choices, ms, 20.0, scored)
    assert [p.damage for p in found] == [0.1, 0.9, 1.5]
    assert [p.ms for p in found] == pytest.approx([16, 12, 9])
    for plan in found:  # but for it they are what the solver of sums makes
        (same,) = (p for p in added if p.steps == plan.steps)
        assert replace(same, damage=plan.damage) == plan
    assert proposals(choices, ms, 20.0, []) == ()


def points(times: list[float]) -> list[Proposal]:
    return [Proposal((), ms, i / 10, 1) for i, ms in enumerate(sorted(times, reverse=True))]


@given(
    st.lists(st.floats(1.0, 100.0), min_size=1, max_size=30),
    st.integers(0, 30),
)
def test_halving_ends_next_to_the_fastest_that_is_good(times: list[float], good: int) -> None:
    """Of points in order, the first ``good`` keep the floor."""
    search, asked, best = FrontierSearch(points(times)), 0, -1
    while (point := search.ask()) is not None:
        place = search.points.index(point)
        search.tell(good=place < good)
        best = max(best, place if place < good else -1)
        asked += 1
    assert asked <= len(times)
    last = min(good, len(times)) - 1
    if last >= 0:
        assert best >= 0
        assert search.points[best].ms <= search.least_ratio * search.points[last].ms


def test_few_tries_are_enough() -> None:
    search, asked = FrontierSearch(points([20 + 0.2 * i for i in range(400)])), 0
    while (point := search.ask()) is not None:
        search.tell(good=point.ms > 55)
        asked += 1
    assert asked <= 7


def test_paths_are_no_part_of_what_is_proposed() -> None:
    choices, ms = three_blocks()
    assert all(str(Path("a8")) not in str(p.steps) for p in proposals(choices, ms, 20.0))


def test_predictions_are_corrected_by_what_savings_came_to() -> None:
    assert corrected_ms(6.0, 10.0, ()) == 6.0
    # 4 ms were promised and 2 came, 2 promised and 1 came: half of what is promised comes.
    assert corrected_ms(4.0, 10.0, [(6.0, 8.0), (8.0, 9.0)]) == pytest.approx(7.0)
    assert corrected_ms(10.0, 10.0, [(6.0, 8.0)]) == 10.0


def test_the_first_try_is_nearer_to_the_gentle_end() -> None:
    search = FrontierSearch(points([90.0, 80.0, 70.0, 60.0, 50.0, 40.0, 30.0]))
    first = search.ask()
    assert first is not None
    assert first.ms == 70.0


def test_what_was_lost_says_how_far_to_go() -> None:
    """Losses in proportion to damage are found out in one try, with some prudence."""
    times = [100.0 / (1 + 0.01 * i) for i in range(200)]
    frontier = [replace(p, damage=0.01 * (i + 1)) for i, p in enumerate(points(times))]
    search, asked = FrontierSearch(frontier, least_ratio=1.02), list[float]()
    while (point := search.ask()) is not None:
        asked.append(point.damage)
        search.tell(good=point.damage <= 0.1, lost=point.damage / 0.1)
    assert len(asked) <= 5
    assert asked[1] == pytest.approx(0.09, abs=0.011)
    assert 0.09 <= max(d for d in asked if d <= 0.1) <= 0.1


@given(
    times=st.lists(st.floats(1, 100), min_size=1, max_size=60, unique=True),
    good=st.integers(0, 60),
    lost=st.lists(st.floats(0, 1e6) | st.none(), min_size=80, max_size=80),
)
def test_whatever_was_lost_the_answer_is_the_same(
    times: list[float], good: int, lost: list[float | None]
) -> None:
    frontier = [replace(p, damage=float(i)) for i, p in enumerate(points(times))]
    search, best, tries = FrontierSearch(frontier), -1, 0
    while (point := search.ask()) is not None:
        place = search.points.index(point)
        search.tell(good=place < good, lost=lost[tries])
        best, tries = max(best, place if place < good else -1), tries + 1
    last = min(good, len(times)) - 1
    assert tries <= len(times)
    if last >= 0:
        assert search.points[best].ms <= search.least_ratio * search.points[last].ms

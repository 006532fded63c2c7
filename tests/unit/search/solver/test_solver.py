from __future__ import annotations

import time
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.search.solver.chain import frontier
from whet.search.solver.general import solve
from whet.search.solver.menu import Entry, Link, Menu, Plan, planned

FORMS = ("f32", "i8", "narrow")
COSTS = {("f32", "i8"): 0.25, ("i8", "f32"): 0.5}  # what is narrow fits only what is narrow

entries = st.builds(
    Entry,
    st.just("entry"),
    ms=st.integers(0, 20).map(float),
    damage=st.integers(0, 20).map(float),
    size_bytes=st.integers(0, 20),
    takes=st.sampled_from(FORMS),
    gives=st.sampled_from(FORMS),
)
menus = st.lists(
    st.lists(entries, min_size=1, max_size=4).map(lambda e: Menu("block", tuple(e))),
    min_size=1,
    max_size=4,
)


def chained(count: int) -> list[Link]:
    return [Link(i, i + 1, COSTS) for i in range(count - 1)]


def all_plans(menus: list[Menu], links: list[Link]) -> list[Plan]:
    every = (planned(picks, links) for picks in product(*(menu.entries for menu in menus)))
    return [plan for plan in every if plan is not None]


@given(menus)
def test_the_frontier_of_a_chain_is_that_of_all_plans(menus: list[Menu]) -> None:
    links = chained(len(menus))
    every = {(p.ms, p.damage) for p in all_plans(menus, links)}
    best = {
        (ms, damage)
        for ms, damage in every
        if not any(m <= ms and d <= damage and (m, d) != (ms, damage) for m, d in every)
    }
    found = frontier(menus, links, grains=1 << 40)
    assert {(p.ms, p.damage) for p in found} == best
    assert all(a.ms < b.ms and a.damage > b.damage for a, b in pairwise(found))
    assert all(planned(p.picks, links) == p for p in found)


@given(menus, st.integers(1, 40))
def test_grains_cost_no_more_than_one_a_block(menus: list[Menu], grains: int) -> None:
    links = chained(len(menus))
    grain = sum(max(e.ms for e in menu.entries) for menu in menus) / grains
    found = frontier(menus, links, grains=grains)
    for best in frontier(menus, links, grains=1 << 40):
        late = best.ms + grain * len(menus) + 1e-9
        assert any(p.ms <= late and p.damage <= best.damage for p in found)


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[Menu], list[Link]]:
    found = draw(menus)
    pairs = [(a, b) for b in range(len(found)) for a in range(b)]
    picked = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=5)) if pairs else []
    return found, [Link(a, b, COSTS) for a, b in picked]


@given(networks(), st.integers(0, 80), st.integers(0, 80))
@settings(deadline=None)
def test_the_plan_for_limits_is_the_best_of_all_plans(
    network: tuple[list[Menu], list[Link]], most_ms: int, most_bytes: int
) -> None:
    menus, links = network
    kept = [p for p in all_plans(menus, links) if p.ms <= most_ms and p.size_bytes <= most_bytes]
    found = solve(menus, links, most_ms=most_ms, most_bytes=most_bytes)
    assert (found is None) == (not kept)
    if found is not None:
        assert found in kept
        assert found.damage == pytest.approx(min(p.damage for p in kept))


def test_both_agree_and_are_done_in_seconds_on_a_network_of_usual_size() -> None:
    rng = np.random.default_rng(0)

    def menu(block: int) -> Menu:
        picked = []
        for form in ("f32", "bf16", "i8"):
            for kept in np.linspace(0.25, 1, 10):
                ms = rng.uniform(0.8, 1.2) * kept / {"f32": 1, "bf16": 2, "i8": 4}[form]
                damage = rng.uniform(0.5, 1.5) * (1 - kept) ** 2 + 0.01 * (form == "i8")
                picked.append(Entry(f"{kept:.2f} {form}", ms, damage, takes=form, gives=form))
        return Menu(f"block{block}", tuple(picked))

    menus = [menu(i) for i in range(20)]
    casts = {(a, b): 0.05 for a in ("f32", "bf16", "i8") for b in ("f32", "bf16", "i8") if a != b}
    links = [Link(i, i + 1, casts) for i in range(19)]
    start = time.process_time()
    found = frontier(menus, links)
    plans = {share: solve(menus, links, most_ms=share * found[-1].ms) for share in (0.4, 0.7)}
    assert time.process_time() - start < 30.0
    assert len(found) > 200
    for share, plan in plans.items():
        within = [p for p in found if p.ms <= share * found[-1].ms]
        assert plan is not None
        assert within[-1].damage == pytest.approx(plan.damage, rel=0.02)
        assert within[-1].damage >= plan.damage - 1e-9


def test_forms_that_never_fit_leave_no_plan() -> None:
    menus = [Menu("a", (Entry("a", 1, 0, gives="x"),)), Menu("b", (Entry("b", 1, 0, takes="y"),))]
    assert frontier(menus, [Link(0, 1)]) == []
    assert solve(menus, [Link(0, 1)]) is None

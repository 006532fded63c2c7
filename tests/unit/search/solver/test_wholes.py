"""Plans over blocks and changes of the whole network, put together."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet.core.recipe import Step
from whet.search.solver.proposals import FrontierSearch, Proposal
from whet.search.solver.wholes import WholeEntry, with_wholes

SLIM = Step("slim", {"channels": {"stem": 8}})
SMALL = Step("resize", {"size": 24})
FEWER = Step("merge-tokens", {"share": 0.5})
PLANS = (
    Proposal((Step("narrow", {"units": {"a": 8}}),), 80.0, 0.1, 1),
    Proposal((Step("factor", {"ranks": {"b": 12}}), Step("drop", {"blocks": ["c"]})), 50.0, 0.4, 2),
)


def test_a_change_of_the_whole_stands_alone_and_with_each_plan() -> None:
    found = with_wholes(PLANS, [WholeEntry(SLIM, 0.5, 0.05, stays=0.75)], 100.0)
    assert [(p.ms, p.damage) for p in found] == [
        (50.0, 0.05),  # alone it beats the slower plans by themselves
        (40.0, pytest.approx(0.15)),
        (25.0, pytest.approx(0.45)),
    ]
    assert found[0].steps == (SLIM,)
    assert found[1].steps == (SLIM, *PLANS[0].steps)
    # Pairs stay cheaper than the layers that they are for, which have fewer channels now.
    assert found[2].steps == (SLIM, Step("factor", {"ranks": {"b": 9}}), PLANS[1].steps[1])


def test_smaller_pictures_come_before_a_slimmer_stream() -> None:
    entries = [WholeEntry(SLIM, 0.5, 0.2), WholeEntry(SMALL, 0.8, 0.1)]
    found = with_wholes(PLANS, entries, 100.0)
    assert found[-1].steps == (SMALL, SLIM, *PLANS[1].steps)
    assert found[-1].ms == pytest.approx(50 * 0.5 * 0.8)
    assert found[-1].damage == pytest.approx(0.7)


def test_tokens_are_merged_behind_all_else() -> None:
    entries = [WholeEntry(FEWER, 0.6, 0.1), WholeEntry(SLIM, 0.5, 0.2, stays=0.75)]
    found = with_wholes(PLANS, entries, 100.0)
    low = Step("factor", {"ranks": {"b": 9}})
    assert found[-1].steps == (SLIM, low, PLANS[1].steps[1], FEWER)
    assert found[-1].ms == pytest.approx(50 * 0.5 * 0.6)
    assert found[-1].damage == pytest.approx(0.7)
    assert (FEWER,) in [point.steps for point in found]


def test_what_gains_next_to_nothing_is_left_out() -> None:
    assert with_wholes((), [WholeEntry(SLIM, 0.99, 0.0), WholeEntry(SMALL, 1.2, 0.1)], 100.0) == ()


positive = st.floats(0.01, 10)
entries = st.lists(
    st.builds(
        WholeEntry,
        st.sampled_from([SLIM, SMALL, FEWER]),
        st.floats(0.2, 1.2),
        st.floats(0, 5),
    ),
    max_size=5,
)
plans = st.lists(
    st.builds(
        Proposal,
        st.just((Step("drop", {"blocks": ["a"]}),)),
        st.floats(5, 95),
        positive,
        st.just(1),
    ),
    max_size=8,
)


@given(plans, entries)
def test_no_combination_beats_the_frontier_and_it_beats_none_of_its_own(
    points: list[Proposal], wholes: list[WholeEntry]
) -> None:
    found = with_wholes(points, wholes, 100.0)
    for gentle, fast in pairwise(found):
        assert gentle.ms > fast.ms
        assert gentle.damage < fast.damage
    kinds = [[None, *(w for w in wholes if w.step == step)] for step in (SLIM, SMALL, FEWER)]
    for *each_kind, point in product(*kinds, [None, *points]):
        picked = [each for each in each_kind if each is not None]
        ms = point.ms if point else 100.0
        for each in picked:
            ms *= each.ratio
        damage = sum(each.damage for each in picked) + (point.damage if point else 0.0)
        if ms < 96.9:
            assert any(p.ms <= ms + 1e-9 and p.damage <= damage + 1e-9 for p in found)


@given(plans, entries, st.floats(0, 10))
def test_the_search_over_it_ends_at_the_fastest_that_is_allowed(
    points: list[Proposal], wholes: list[WholeEntry], allowed: float
) -> None:
    search = FrontierSearch(with_wholes(points, wholes, 100.0))
    best = None
    while (point := search.ask()) is not None:
        good = point.damage <= allowed
        best = point if good else best
        search.tell(good=good, lost=point.damage / allowed if allowed else None)
    able = [p.ms for p in search.points if p.damage <= allowed]
    assert (best is None) == (not able)
    if best is not None:
        assert best.ms <= search.least_ratio * min(able)

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Quality, Trial
from whet.core.recipe import Recipe, Step
from whet.core.settings import Precision, Settings
from whet.optimize.graph.quantize.space import ROUND, STORE
from whet.search.decisions.kinds import (
    answer_kind,
    engine_kind,
    one_of_each_answer,
    safest_of_each_kind,
)
from whet.search.decisions.order import certify_order

FASTEST = Contract(max_drop=Drop(0.01))


def recipe(runtime: str = "openvino", streams: int = 1, **options: object) -> Recipe:
    steps = (Step("convert-ir"), Step("quantize-nncf-ir", dict(options)))
    return Recipe(steps, runtime, Settings(streams=streams))


def tried(made: Recipe, speed: float, select: Quality) -> Trial:
    named = trial(made.brief(), speed, select=select)
    return msgspec.structs.replace(named, recipe=made, id=made.digest())


def loss(t: Trial) -> float:
    return t.select.drop if t.select is not None else 1.0


@pytest.mark.parametrize(
    "options",
    [{"subset_size": 8}, {"ranges": "minmax"}, {"bias": "full"}, {"ranges": "x", "bias": "none"}],
)
def test_calibration_does_not_change_the_work(options: dict[str, object]) -> None:
    assert engine_kind(recipe(**options)) == engine_kind(recipe())


def test_weights_that_were_rounded_are_no_other_work_and_stored_ones_are() -> None:
    plain = recipe()
    rounded = msgspec.structs.replace(plain, steps=(ROUND, *plain.steps))
    assert engine_kind(rounded) == engine_kind(plain)
    for steps in (plain.steps, ()):
        without, stored = (
            msgspec.structs.replace(plain, steps=(*before, *steps))
            for before in ((ROUND,), (ROUND, STORE))
        )
        assert engine_kind(stored) != engine_kind(without)


@pytest.mark.parametrize(
    "other",
    [
        recipe(runtime="onnxruntime"),
        recipe(streams=2),
        recipe(preset="mixed"),
        recipe(keep_first=True),
        recipe(ignored=["conv1"]),
        recipe(per_channel=False),
    ],
)
def test_what_changes_the_work(other: Recipe) -> None:
    assert engine_kind(other) != engine_kind(recipe())


def test_rounding_weights_in_advance_does_not_change_the_work() -> None:
    plain = recipe()
    rounded = msgspec.structs.replace(plain, steps=(Step("round-weights"), *plain.steps))
    assert engine_kind(rounded) == engine_kind(plain)


def test_quality_decides_between_those_of_one_kind() -> None:
    lucky = tried(recipe(subset_size=8), 2.4, quality(0.004))
    safe = tried(recipe(), 1.6, quality(0.001))
    other = tried(recipe(preset="mixed"), 2.1, quality(0.003))
    assert safest_of_each_kind([lucky, other, safe], loss) == (other, safe)
    order = certify_order([lucky, other, safe], FASTEST, 1000, most=4)
    assert [t.id for t in order] == [safe.id, other.id]


def test_a_lucky_timing_of_a_known_kind_is_not_plausible_by_itself() -> None:
    risky = tried(recipe(subset_size=8), 3.0, quality(0.009, width=0.01))
    safe = tried(recipe(), 2.0, quality(0.001))
    assert certify_order([risky, safe], FASTEST, 1000, most=4) == (safe,)


def test_twins_take_no_place_from_another_graph() -> None:
    """They answer alike: one that fails takes the other with it, and nothing safer is left."""
    twins = [tried(recipe(streams=n), 3.0 - n / 100, quality(0.004)) for n in (1, 2, 3, 4)]
    other = tried(recipe(preset="mixed"), 2.0, quality(0.001))
    order = certify_order([*twins, other], FASTEST, 1000, most=3)
    assert [t.id for t in order] == [other.id, twins[0].id, twins[1].id]
    (last, first) = certify_order([*twins, other], FASTEST, 1000, most=2)
    assert {last.id, first.id} == {other.id, twins[0].id}


def test_of_twins_that_timings_do_not_tell_apart_the_plainest_comes_first() -> None:
    plain, tuned = recipe(), recipe(streams=2)
    for first, second, taken in ((3.0, 3.03, plain), (3.0, 3.3, tuned)):
        twins = [tried(plain, first, quality(0.0)), tried(tuned, second, quality(0.0))]
        (found,) = certify_order(twins, FASTEST, 1000, most=1)
        assert found.recipe == taken


def test_a_plainer_candidate_with_other_settings_does_not_stand_in_for_a_safer_one() -> None:
    """Both are as fast; rounded weights answer otherwise than those that weren't."""
    plain = recipe(streams=2)
    rounded = recipe()
    rounded = msgspec.structs.replace(rounded, steps=(ROUND, *rounded.steps))
    risky, safe = tried(plain, 3.02, quality(0.009)), tried(rounded, 3.0, quality(0.0))
    assert certify_order([risky, safe], FASTEST, 1000, most=1) == (safe,)
    assert certify_order([risky, safe], FASTEST, 1000, most=2)[0] == safe


@pytest.mark.parametrize(
    ("settings", "alike"),
    [
        (Settings(threads=2), True),
        (Settings(pin=True, arena=False), True),
        (Settings(fixed={"batch": 1}), True),
        (Settings(precision=Precision.BF16), False),
        (Settings(round_up={"sequence": 8}), False),
    ],
)
def test_settings_that_answers_hang_on(settings: Settings, alike: bool) -> None:
    other = msgspec.structs.replace(recipe(), settings=settings)
    assert (answer_kind(other) == answer_kind(recipe())) is alike


kinds = st.builds(
    recipe,
    subset_size=st.sampled_from([8, 300]),
    ranges=st.sampled_from(["a", "b"]),
    preset=st.sampled_from(["mixed", "performance"]),
    streams=st.integers(1, 3),
)
groups = st.lists(
    st.builds(tried, kinds, st.floats(0.5, 5.0), st.floats(0.0, 0.02).map(quality)), max_size=8
)


@given(groups, st.randoms(use_true_random=False))
def test_neither_order_nor_luck_decides_within_a_kind(
    trials: list[Trial], chance: random.Random
) -> None:
    found = safest_of_each_kind(trials, loss)
    shuffled = chance.sample(trials, len(trials))
    assert [loss(t) for t in safest_of_each_kind(shuffled, loss)] == [loss(t) for t in found]
    assert len({engine_kind(t.recipe) for t in found}) == len(found)
    assert {engine_kind(t.recipe) for t in found} == {engine_kind(t.recipe) for t in trials}
    for taken in found:
        rivals = [t for t in trials if engine_kind(t.recipe) == engine_kind(taken.recipe)]
        assert loss(taken) == min(map(loss, rivals))


@given(groups, st.integers(1, 5))
def test_finalists_differ_in_their_answers_as_far_as_there_are_such(
    trials: list[Trial], most: int
) -> None:
    ranked = safest_of_each_kind(trials, loss)
    found = one_of_each_answer(ranked, within=0.02)
    assert sorted(t.id for t in found) == sorted(t.id for t in ranked)
    graphs = {answer_kind(t.recipe) for t in ranked}
    assert len({answer_kind(t.recipe) for t in found[:most]}) == min(most, len(graphs))
    assert [answer_kind(t.recipe) for t in found[:1]] == [answer_kind(t.recipe) for t in ranked[:1]]

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_factory import quality, trial

from whet.core.evidence import Ratio, Trial
from whet.core.settings import Settings
from whet.search.decisions.figures import damage, divided, plainest, speed


def with_settings(name: str, value: float, settings: Settings, *, steps: bool = True) -> Trial:
    made = trial(name, value, untouched=not steps)
    recipe = msgspec.structs.replace(made.recipe, settings=settings)
    return msgspec.structs.replace(made, recipe=recipe, id=recipe.digest())


PLAIN = with_settings("plain", 3.0, Settings())
TUNED = with_settings("tuned", 3.1, Settings(streams=2))
UNTOUCHED = with_settings("untouched", 3.0, Settings(streams=2, pin=True), steps=False)


def test_of_those_alike_the_plainest_is_taken() -> None:
    assert plainest([TUNED, PLAIN], within=0.05) is PLAIN
    assert plainest([TUNED, PLAIN], within=0.01) is TUNED
    assert plainest([TUNED, PLAIN, UNTOUCHED], within=0.05) is UNTOUCHED


def test_what_stands_before_others_does_so_among_those_alike_only() -> None:
    assert plainest([TUNED, PLAIN], within=0.05, before=lambda t: t is TUNED) is TUNED
    assert plainest([TUNED, PLAIN], within=0.01, before=lambda t: t is PLAIN) is TUNED


def test_a_small_change_of_speed_changes_nothing() -> None:
    """Neither the order in which they were tried nor which of them was luckier."""
    alike = [with_settings(n, 3.0, Settings()) for n in "abc"]
    chosen = plainest(alike, within=0.05)
    for order in itertools.permutations(alike):
        for lucky in alike:
            ratio = lucky.speedup
            assert ratio is not None
            faster = msgspec.structs.replace(
                lucky, speedup=msgspec.structs.replace(ratio, value=3.1)
            )
            again = [faster if t is lucky else t for t in order]
            assert plainest(again, within=0.05).id == chosen.id


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=6), st.floats(0.0, 0.5))
def test_it_is_never_slower_than_allowed(speeds: list[float], within: float) -> None:
    trials = [trial(f"t{i}", value) for i, value in enumerate(speeds)]
    assert speed(plainest(trials, within=within)) >= (1 - within) * max(speeds)


@pytest.mark.parametrize(("drop", "loss"), [(0.01, 0.01), (-0.02, 0.0)])
def test_a_gain_is_no_loss(drop: float, loss: float) -> None:
    assert damage(trial("a", 1.0, select=quality(drop))) == loss


def test_damage_is_unknown_until_judged_and_none_for_the_original() -> None:
    assert damage(trial("a", 1.0)) == float("inf")
    assert damage(trial("a", 1.0, untouched=True)) == 0.0
    both = trial("a", 1.0, select=quality(0.01), certify=quality(0.02))
    assert damage(both) == 0.02


@given(st.floats(0.1, 10), st.floats(0, 0.5), st.floats(0.1, 10), st.floats(0, 0.5), st.booleans())
def test_a_quotient_is_wider_than_either_and_narrower_than_both_at_their_ends(
    own: float, own_reach: float, its: float, its_reach: float, noisy: bool
) -> None:
    def ratio(value: float, reach: float) -> Ratio:
        return Ratio("third", value, value / (1 + reach), value * (1 + reach), noisy)

    mine, other = ratio(own, own_reach), ratio(its, its_reach)
    found = divided(mine, other, "other")
    assert found.value == pytest.approx(own / its)
    assert found.noisy is noisy
    widest, narrowest = (1 + own_reach) * (1 + its_reach), 1 + max(own_reach, its_reach)
    for reach in (found.value / found.low, found.high / found.value):
        assert narrowest - 1e-9 <= reach <= widest + 1e-9


def test_dividing_by_the_third_itself_changes_nothing() -> None:
    found = divided(Ratio("a", 2.0, 1.8, 2.3, noisy=False), Ratio("a", 1, 1, 1, noisy=False), "a")
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 1.8, 2.3))

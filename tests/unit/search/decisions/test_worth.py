from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trial_factory import quality, trial

from whet.core.contract import Contract
from whet.core.evidence import Status, Trial
from whet.search.decisions.worth import best_so_far, keeps_room, worth_judging

FASTEST = Contract()
SMALL = Contract(max_bytes=500)
BASE = trial("base", 1.0, untouched=True, disk=1000)


def tried(name: str, speed: float, *, disk: int = 1000) -> Trial:
    return trial(name, speed, disk=disk)


CERTIFY = 1000


def good(name: str, speed: float, *, disk: int = 1000) -> Trial:
    return trial(name, speed, disk=disk, select=quality(0.0))


@pytest.mark.parametrize(("speed", "worth"), [(0.8, False), (0.95, True), (3.0, True)])
def test_without_limits_only_what_may_beat_the_original(speed: float, worth: bool) -> None:
    assert worth_judging(tried("new", speed), [BASE], FASTEST, CERTIFY) is worth


def test_without_limits_only_what_may_beat_the_best_so_far() -> None:
    known = [BASE, good("best", 3.0)]
    assert worth_judging(tried("near", 2.8), known, FASTEST, CERTIFY)
    assert not worth_judging(tried("far", 2.0), known, FASTEST, CERTIFY)


def test_the_only_one_that_keeps_a_limit_is_judged_however_slow_it_is() -> None:
    known = [BASE, good("fast", 3.0, disk=600)]
    assert worth_judging(tried("small", 0.3, disk=400), known, SMALL, CERTIFY)
    assert not worth_judging(tried("small", 0.3, disk=400), known, FASTEST, CERTIFY)


def test_among_those_that_keep_a_limit_speed_decides_again() -> None:
    known = [BASE, good("fast", 3.0, disk=600), good("small", 0.5, disk=400)]
    assert worth_judging(tried("smaller", 0.48, disk=300), known, SMALL, CERTIFY)
    assert not worth_judging(tried("slower", 0.3, disk=300), known, SMALL, CERTIFY)
    assert not worth_judging(tried("large", 9.0, disk=900), known, SMALL, CERTIFY), (
        "can't be chosen"
    )


def test_where_all_break_a_limit_one_that_comes_nearer_is_judged_however_slow_it_is() -> None:
    known = [BASE, good("int8", 0.8, disk=700)]
    assert worth_judging(tried("int4", 0.4, disk=526), known, SMALL, CERTIFY)
    assert worth_judging(tried("level", 0.8, disk=701), known, SMALL, CERTIFY), "by its speed"
    assert not worth_judging(tried("larger", 0.4, disk=900), known, SMALL, CERTIFY)
    keeping = good("small", 0.3, disk=500)
    assert not worth_judging(tried("int4", 0.4, disk=526), [*known, keeping], SMALL, CERTIFY)


def test_one_whose_quality_is_lost_is_no_rival() -> None:
    known = [BASE, trial("lost", 3.0, disk=400, select=quality(0.5))]
    assert worth_judging(tried("small", 0.3, disk=400), known, SMALL, CERTIFY)


def test_what_was_not_timed_is_not_judged() -> None:
    untimed = msgspec.structs.replace(tried("new", 9.0), speedup=None, status=Status.CRASHED)
    assert not worth_judging(untimed, [BASE], FASTEST, CERTIFY)


anyone = st.builds(
    trial,
    st.text("abcdef", min_size=1, max_size=4),
    st.floats(0.1, 5.0),
    select=st.one_of(st.none(), st.floats(0.0, 0.02).map(quality)),
    disk=st.integers(100, 1000),
)


@given(anyone, st.lists(anyone, max_size=6), st.integers(100, 1000))
def test_the_fastest_that_keeps_the_limits_is_always_judged(
    new: Trial, known: list[Trial], most: int
) -> None:
    contract = Contract(max_bytes=most)
    rivals = [t for t in known if keeps_room(t, contract)]
    if keeps_room(new, contract) and all(
        new.speedup.value > t.speedup.value for t in (*rivals, BASE) if new.speedup and t.speedup
    ):
        assert worth_judging(new, [*known, BASE], contract, CERTIFY)


def test_the_best_so_far_may_be_another_untouched_engine() -> None:
    ort = trial("ort", 1.79, untouched=True, noisy=True)
    assert best_so_far([BASE, ort], BASE) is ort
    assert best_so_far([BASE, ort, good("int8", 2.1)], BASE) is not ort
    assert best_so_far([], None) is None


@pytest.mark.parametrize(("speed", "noisy"), [(1.01, False), (1.05, True)])
def test_what_noise_may_have_made_is_no_best(speed: float, noisy: bool) -> None:
    """1.01 has an interval from 0.99; 1.05 is within what a restless machine makes."""
    near = trial("near", speed, untouched=True, noisy=noisy)
    assert best_so_far([BASE, near], BASE) is BASE


def test_one_whose_quality_was_not_seen_to_hold_is_no_best() -> None:
    assert best_so_far([BASE, tried("fast", 5.0)], BASE) is BASE
    lossy = trial("lossy", 5.0, select=quality(0.2))
    assert best_so_far([BASE, lossy], BASE) is BASE


def test_one_that_is_not_sure_to_be_proven_leaves_room_for_a_safer_one() -> None:
    """Seen without a loss, but on so few samples that a proof is a matter of luck."""
    unsure = trial("int8", 3.0, select=quality(0.0, width=0.02, n=200))
    safe = trial("bf16", 1.8, select=quality(0.0))
    assert worth_judging(tried("stand-in", 1.5), [BASE, unsure], FASTEST, 500)
    assert not worth_judging(tried("stand-in", 1.5), [BASE, unsure, safe], FASTEST, 500)

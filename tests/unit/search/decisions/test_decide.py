from __future__ import annotations

import msgspec
import pytest
from trial_factory import latency, quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Ratio, TailRatio, Trial, Verdict
from whet.core.settings import Settings
from whet.search.decisions.decide import (
    choose,
    clauses,
    keeps,
    slower_at,
)
from whet.search.words.outcome import next_step, outcome_sentence

FASTEST = Contract(max_drop=Drop(0.01))
LIMITED = Contract(limit_ms=6.0, max_drop=Drop(0.01))
BASE = trial("base", 1.0, untouched=True, p99_ms=20.0)


def test_a_candidate_without_certificate_is_undecided_never_passed() -> None:
    fast = trial("fast", 3.0, select=quality(0.0))
    assert keeps(fast, FASTEST) is Verdict.UNDECIDED


def test_size_and_memory_are_clauses() -> None:
    small = Contract(max_bytes=999, max_memory_bytes=10_000)
    named = {name: verdict for name, verdict, _ in clauses(BASE, small)}
    assert named["size"] is Verdict.FAILED
    assert named["memory"] is Verdict.PASSED
    assert keeps(BASE, small) is Verdict.FAILED


def test_the_fastest_proven_trial_is_chosen() -> None:
    slow = trial("slow", 2.0, certify=quality(0.001))
    fast = trial("fast", 3.0, certify=quality(0.001))
    wrong = trial("wrong", 9.0, certify=quality(0.05))
    chosen, verdict = choose([BASE, slow, fast, wrong], FASTEST, BASE)
    assert (chosen.name, verdict) == ("fast", Verdict.PASSED)


def test_never_slower_the_baseline_wins_against_noise() -> None:
    noisy = trial("noisy", 1.08, certify=quality(0.0), noisy=True)
    level = trial("level", 1.01, certify=quality(0.0))
    chosen, verdict = choose([BASE, noisy, level], FASTEST, BASE)
    assert chosen.id == BASE.id
    assert verdict is Verdict.PASSED


def test_never_slower_holds_at_the_contracts_own_percentile() -> None:
    tail = trial("tail", 3.0, certify=quality(0.0), select=quality(0.0), p99_ms=30.0)
    chosen, verdict = choose([BASE, tail], FASTEST, BASE)
    assert (chosen.id, verdict) == (BASE.id, Verdict.PASSED)
    by_median = Contract(percentile=50.0, max_drop=Drop(0.01))
    quick = msgspec.structs.replace(tail, latency=latency(5.0))
    assert choose([BASE, quick], by_median, BASE)[0].name == "tail"


def with_tail(value: float, low: float, high: float, *, q: float = 99.0) -> Trial:
    """One whose last race compared its tail with the baseline's."""
    wins = trial("wins", 3.0, certify=quality(0.0), p99_ms=20.0 / value)
    return msgspec.structs.replace(wins, tail=TailRatio(q, BASE.name, value, low, high))


@pytest.mark.parametrize(
    ("tail", "slower"),
    [
        (with_tail(0.8, 0.6, 1.05), None),  # looks slower, but equal engines do so often
        (with_tail(0.8, 0.7, 0.9), 99.0),
        (with_tail(0.95, 0.93, 0.97), None),  # by less than noise makes it
        (with_tail(0.8, 0.7, 0.9, q=95.0), 95.0),  # too few queries for p99
        (with_tail(2.0, 1.5, 2.5), None),
    ],
)
def test_slower_at_the_tail_is_what_the_last_race_excludes_to_be_chance(
    tail: Trial, slower: float | None
) -> None:
    assert slower_at(99.0, tail, BASE) == slower
    assert choose([BASE, tail], FASTEST, BASE)[0].id == (BASE.id if slower else tail.id)


def test_without_a_common_race_tails_are_slower_where_their_intervals_lie_apart() -> None:
    bare = trial("bare", 3.0, certify=quality(0.0))
    wide = msgspec.structs.replace(bare, latency=latency(23.0, half_width=10.0))
    assert slower_at(99.0, wide, BASE) is None
    apart = msgspec.structs.replace(bare, latency=latency(30.0))
    assert slower_at(99.0, apart, BASE) == 99.0
    few = msgspec.structs.replace(
        apart.latency, percentiles=apart.latency.percentiles[:1] if apart.latency else ()
    )
    assert slower_at(99.0, msgspec.structs.replace(apart, latency=few), BASE) == 50.0
    elsewhere = msgspec.structs.replace(
        bare, tail=TailRatio(99.0, "another", 0.2, 0.1, 0.3), latency=latency(20.0)
    )
    assert slower_at(99.0, elsewhere, BASE) is None


def test_a_large_speed_up_is_believed_on_a_restless_machine() -> None:
    noisy = trial("noisy", 1.3, certify=quality(0.0), noisy=True)
    assert choose([BASE, noisy], FASTEST, BASE)[0].name == "noisy"


def test_of_equally_fast_trials_the_simplest_is_chosen() -> None:
    plain = trial("plain", 3.00, certify=quality(0.0))
    tuned = trial("tuned", 3.03, certify=quality(0.0))
    tuned = msgspec.structs.replace(
        tuned, recipe=msgspec.structs.replace(tuned.recipe, settings=Settings(streams=2))
    )
    assert choose([BASE, tuned, plain], FASTEST, BASE)[0].name == "plain"
    faster = msgspec.structs.replace(tuned, speedup=Ratio("anchor", 3.3, 3.2, 3.4, noisy=False))
    assert choose([BASE, faster, plain], FASTEST, BASE)[0].name == "tuned"


def test_settings_that_the_race_cant_tell_apart_are_left_out() -> None:
    """Else a search that is started again chooses another one of them, by luck."""
    plain = trial("engine", 3.0, certify=quality(0.0))
    recipe = msgspec.structs.replace(plain.recipe, settings=Settings(streams=2))

    def chosen(value: float, low: float, high: float, *, tuned: float = 3.2) -> str:
        others = msgspec.structs.replace(
            plain, id=recipe.digest(), name="tuned", recipe=recipe,
            speedup=Ratio("anchor", tuned, tuned - 0.1, tuned + 0.1, noisy=False),
        )  # fmt: skip
        own = msgspec.structs.replace(plain, speedup=Ratio("anchor", value, low, high, noisy=False))
        return choose([BASE, others, own], FASTEST, BASE)[0].name

    assert chosen(3.0, 2.4, 3.5) == "engine"
    assert chosen(3.0, 2.9, 3.1) == "tuned", "the interval tells them apart"
    assert chosen(2.8, 2.0, 3.5) == "tuned", "noise doesn't make so much"


def test_of_equally_fast_and_simple_trials_the_one_that_loses_less_is_chosen() -> None:
    """Whichever of them was luckier this time."""
    for first, second in ((3.0, 3.03), (3.03, 3.0)):
        close = trial("close", first, certify=quality(0.001))
        far = trial("far", second, certify=quality(0.003))
        assert choose([BASE, far, close], FASTEST, BASE)[0].name == "close"


def test_never_wrong_an_unproven_trial_is_not_chosen_even_to_keep_the_limit() -> None:
    unproven = trial("unproven", 9.0, p99_ms=2.0, certify=quality(0.009))
    chosen, verdict = choose([BASE, unproven], LIMITED, BASE)
    assert chosen.id == BASE.id
    assert verdict is Verdict.FAILED
    assert "more samples" in next_step(chosen, verdict, LIMITED, [BASE, unproven])


def test_nearest_miss_names_the_gap_and_the_next_thing() -> None:
    near = trial("near", 2.0, p99_ms=8.0, certify=quality(0.001))
    chosen, verdict = choose([BASE, near], LIMITED, BASE)
    assert (chosen.name, verdict) == ("near", Verdict.FAILED)
    sentence = outcome_sentence(chosen, verdict, LIMITED, BASE)
    assert sentence.startswith("The contract is not kept. Nearest is near; latency: p99 8 ms")
    assert "8.05 ms" in next_step(chosen, verdict, LIMITED, [BASE, near])

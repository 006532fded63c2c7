from __future__ import annotations

import msgspec
import pytest
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import Quality, Ratio, Status, Trial
from whet.core.note import Note
from whet.core.settings import Settings
from whet.search.decisions.decide import choose
from whet.search.words.reasons import why_lost

FASTEST = Contract(max_drop=Drop(0.01))
LIMITED = Contract(limit_ms=6.0, max_drop=Drop(0.01))
BASE = trial("base", 1.0, untouched=True, p99_ms=20.0)


def timed(found: Trial, value: float, low: float, high: float, *, noisy: bool = False) -> Trial:
    return msgspec.structs.replace(found, speedup=Ratio("base", value, low, high, noisy))


def test_every_loser_has_a_reason() -> None:
    chosen = trial("chosen", 3.0, certify=quality(0.0), select=quality(0.0))
    crashed = msgspec.structs.replace(
        trial("crashed", 1.0, status=Status.CRASHED), notes=(Note("x", "it fell over"),)
    )
    cases = {
        "Crashed: it fell over": crashed,
        "Breaks the quality clause": trial("wrong", 5.0, certify=quality(0.05)),
        "Loses too much quality": trial("lossy", 5.0, select=quality(0.05)),
        "Not proven": trial("unproven", 5.0, certify=quality(0.009)),
        "Slower than chosen: 2.00×": trial("slow", 2.0, select=quality(0.0)),
        "Slower than chosen, which runs 3.00× (2.94 to 3.06) as fast": BASE,
        "Faster (5.00× (4.90 to 5.10) against 3.00×": trial("risky", 5.0, select=quality(0.009)),
    }
    # Unlucky on the few select samples, and proven on the many of the certify part.
    proven = trial("proven", 2.0, select=quality(0.05), certify=quality(0.0))
    assert why_lost(proven, chosen, FASTEST, BASE).startswith("Slower than chosen: 2.00×")
    for start, loser in cases.items():
        assert why_lost(loser, chosen, FASTEST, BASE).startswith(start)
    assert why_lost(chosen, chosen, FASTEST, BASE) == ""


def test_a_slow_tail_is_said_with_both_intervals() -> None:
    tail = trial("tail", 3.0, certify=quality(0.0), select=quality(0.0), p99_ms=30.0)
    chosen, _ = choose([BASE, tail], FASTEST, BASE)
    assert why_lost(tail, chosen, FASTEST, BASE) == (
        "Slower than base at p99, which the contract is about:"
        " 30 ms (29.9 to 30.1) against 20 ms (19.9 to 20.1)."
    )


def test_what_is_slower_by_its_median_is_not_said_to_lose_by_its_tail() -> None:
    chosen = trial("chosen", 3.0, certify=quality(0.0))
    slow = trial("slow", 0.5, select=quality(0.0), p99_ms=30.0)
    assert why_lost(slow, chosen, FASTEST, BASE).startswith("Slower than chosen: 0.50×")


def test_overlapping_intervals_are_not_called_a_difference() -> None:
    chosen = timed(trial("chosen", 3.0, certify=quality(0.0)), 3.0, 2.8, 3.2)
    near = timed(trial("near", 2.9, select=quality(0.0)), 2.9, 2.7, 3.1)
    said = why_lost(near, chosen, FASTEST, BASE)
    assert said.startswith("Can't be told apart from chosen in speed")
    assert "2.90× (2.70 to 3.10) against 3.00× (2.80 to 3.20)" in said
    certified = msgspec.structs.replace(near, certify=quality(0.0))
    assert why_lost(certified, chosen, FASTEST, BASE).endswith("which looks faster.")


def test_noise_widens_what_can_be_told_apart() -> None:
    chosen = timed(trial("chosen", 3.0, certify=quality(0.0)), 3.0, 2.9, 3.1)
    slow = timed(trial("slow", 2.7, select=quality(0.0)), 2.75, 2.7, 2.8)
    assert why_lost(slow, chosen, FASTEST, BASE).startswith("Slower than chosen")
    noisy = timed(slow, 2.75, 2.7, 2.8, noisy=True)
    said = why_lost(noisy, chosen, FASTEST, BASE)
    assert said.startswith("Can't be told apart")
    assert "noisy" in said


def test_the_simpler_of_two_level_trials_says_so() -> None:
    plain = trial("plain", 3.00, certify=quality(0.0))
    tuned = trial("tuned", 3.03, certify=quality(0.0))
    tuned = msgspec.structs.replace(
        tuned, recipe=msgspec.structs.replace(tuned.recipe, settings=Settings(streams=2))
    )
    chosen, _ = choose([BASE, tuned, plain], FASTEST, BASE)
    assert chosen.name == "plain"
    said = why_lost(tuned, chosen, FASTEST, BASE)
    assert said.endswith("which needs fewer passes and settings.")
    assert "quality" not in said, "it was certified: its quality isn't the reason"


def test_a_certified_trial_that_is_not_clearly_faster_loses_to_the_untouched() -> None:
    chosen = timed(BASE, 1.0, 1.0, 1.0)
    level = timed(trial("level", 1.05, certify=quality(0.0)), 1.05, 0.96, 1.15)
    assert why_lost(level, chosen, FASTEST, BASE) == (
        "Not clearly faster than the untouched base: 1.05× (0.96 to 1.15)."
    )


def test_perhaps_faster_where_the_intervals_overlap() -> None:
    chosen = timed(trial("chosen", 3.0, certify=quality(0.0)), 3.0, 2.8, 3.2)
    maybe = timed(trial("maybe", 3.1), 3.1, 2.9, 3.4)
    assert why_lost(maybe, chosen, FASTEST, BASE) == (
        "Perhaps faster (3.10× (2.90 to 3.40) against 3.00× (2.80 to 3.20)),"
        " but its quality was not judged."
    )
    risky = msgspec.structs.replace(maybe, select=quality(0.009))
    assert "Perhaps faster" in why_lost(risky, chosen, FASTEST, BASE)


def test_a_trial_whose_limit_is_not_proven_says_so() -> None:
    chosen = trial("chosen", 2.0, p99_ms=5.0, certify=quality(0.0))
    near = trial("near", 2.0, p99_ms=6.0, certify=quality(0.0))
    assert why_lost(near, chosen, LIMITED, BASE).startswith("Not proven: p99 6 ms")


@pytest.mark.parametrize("certify", [None, quality(0.0)])
@pytest.mark.parametrize("value", [0.5, 1.0, 2.9, 3.0, 3.1, 9.0])
@pytest.mark.parametrize("contract", [FASTEST, LIMITED])
def test_no_loser_is_left_without_a_reason(
    certify: Quality | None, value: float, contract: Contract
) -> None:
    chosen = trial("chosen", 3.0, certify=quality(0.0))
    loser = trial("loser", value, p99_ms=5.0, certify=certify)
    assert why_lost(loser, chosen, contract, BASE)
    assert why_lost(loser, BASE, contract, BASE)
    assert why_lost(msgspec.structs.replace(loser, speedup=None), chosen, contract, BASE)

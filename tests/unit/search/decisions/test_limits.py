from __future__ import annotations

import pytest
from trial_factory import quality, trial

from whet.core.contract import Contract, parse_bytes
from whet.core.evidence import Verdict
from whet.search.decisions.decide import choose
from whet.search.decisions.limits import loosened, nearest, overrun, roomier
from whet.search.words.misses import nearer
from whet.search.words.outcome import next_step, outcome_sentence

TINY = Contract(max_bytes=1000)
BASE = trial("base", 1.0, untouched=True, disk=400_000, certify=quality(0.0))


def test_the_advice_names_a_limit_that_would_have_been_kept() -> None:
    chosen = trial("int8", 2.0, disk=148_601, certify=quality(0.0))
    advice = next_step(chosen, Verdict.FAILED, TINY, [chosen])
    assert advice == "Allow a size of 149 kB, or give a smaller network."
    assert parse_bytes(loosened(chosen, TINY).removeprefix("a size of ")) >= 148_601
    sentence = outcome_sentence(chosen, Verdict.FAILED, TINY, BASE)
    assert "size 149 kB, limit 1 kB" in sentence


def test_both_limits_and_the_latency_are_loosened_together() -> None:
    tight = Contract(limit_ms=1.0, max_bytes=1000, max_memory_bytes=1000)
    chosen = trial("int8", 2.0, disk=2000, p99_ms=5.0, certify=quality(0.0))
    advice = next_step(chosen, Verdict.FAILED, tight, [chosen])
    assert advice.startswith("Allow a size of 2 kB and a memory of 20 kB and a limit of 5.05 ms")


def test_more_samples_are_no_advice_for_what_is_too_big() -> None:
    unsure = trial("int8", 3.0, disk=5000, certify=quality(0.009, width=0.002))
    assert unsure.certify is not None
    assert unsure.certify.verdict is Verdict.UNDECIDED
    assert "samples" not in next_step(BASE, Verdict.FAILED, TINY, [BASE, unsure])


def test_the_nearest_miss_is_nearest_to_the_limit_and_not_the_fastest() -> None:
    fast = trial("fast", 3.0, disk=300_000, certify=quality(0.0))
    small = trial("small", 1.5, disk=150_000, certify=quality(0.0))
    chosen, verdict = choose([BASE, fast, small], TINY, BASE)
    assert (chosen.name, verdict) == ("small", Verdict.FAILED)


def test_between_equally_near_misses_speed_decides() -> None:
    fast = trial("fast", 3.0, disk=151_000, certify=quality(0.0))
    small = trial("small", 1.5, disk=150_000, certify=quality(0.0))
    chosen, _ = choose([BASE, fast, small], TINY, BASE)
    assert chosen.name == "fast"


@pytest.mark.parametrize(("disk", "taken"), [(395_000, "base"), (150_000, "slow")])
def test_a_slower_one_is_the_nearest_miss_only_where_it_is_smaller(disk: int, taken: str) -> None:
    slow = trial("slow", 0.8, disk=disk, certify=quality(0.0))
    chosen, verdict = choose([BASE, slow], TINY, BASE)
    assert (chosen.name, verdict) == (taken, Verdict.FAILED)


def test_the_nearest_miss_is_looked_for_beside_faster_ones_too() -> None:
    fast = trial("fast", 3.0, disk=300_000, certify=quality(0.0))
    small = trial("small", 0.4, disk=1026, certify=quality(0.0))
    chosen, _ = choose([BASE, fast, small], TINY, BASE)
    assert chosen.name == "small"
    advice = next_step(chosen, Verdict.FAILED, TINY, [BASE, fast, small])
    assert advice == "Allow a size of 1.03 kB, or give a smaller network."


def test_a_slower_one_of_poor_quality_is_no_nearest_miss() -> None:
    poor = trial("poor", 0.8, disk=1026, certify=quality(0.5))
    assert choose([BASE, poor], TINY, BASE) == (BASE, Verdict.FAILED)


def test_how_far_a_limit_is_broken() -> None:
    both = Contract(max_bytes=1000, max_memory_bytes=20_000)  # memory is ten times the size
    large, small, keeps = (trial(str(n), 1.0, disk=n) for n in (4000, 1500, 1000))
    assert [overrun(t, both) for t in (large, small, keeps)] == [3.0, 0.5, 0.0]
    assert roomier(small, large, both)
    assert not roomier(large, small, both)
    just = trial("just", 1.0, disk=1001)
    assert roomier(keeps, just, both), "what keeps a limit is nearer, by however little"
    assert not roomier(trial("same", 1.0, disk=1490), small, both)


def test_where_only_latency_is_missed_overlapping_intervals_are_equally_near() -> None:
    contract = Contract(limit_ms=1.0, max_bytes=10_000)
    slow, fast = trial("slow", 1.0, p99_ms=9.0), trial("fast", 2.0, p99_ms=5.0)
    level = trial("level", 1.0, p99_ms=5.08)
    assert nearest([slow, fast, level], contract) == [fast, level]


def test_a_worse_miss_of_the_latency_counts_where_sizes_are_missed_too() -> None:
    contract = Contract(limit_ms=1.0, max_bytes=1000)
    small = trial("small", 1.0, p99_ms=9.0, disk=1100)
    quick = trial("quick", 1.0, p99_ms=2.0, disk=1300)
    assert nearest([small, quick], contract) == [quick]


def test_a_smaller_one_that_is_not_faster_is_chosen_with_the_limit_that_it_would_keep() -> None:
    limited = Contract(max_bytes=150_000)
    float32 = trial("float32", 1.0, untouched=True, disk=472_000, certify=quality(0.0))
    int8 = trial("int8", 1.05, noisy=True, disk=180_000, certify=quality(0.0))
    bf16 = trial("bf16", 1.08, noisy=True, disk=471_000, certify=quality(0.0))
    known = [float32, bf16, int8]
    chosen, verdict = choose(known, limited, float32)
    assert (chosen.name, verdict) == ("int8", Verdict.FAILED)
    assert nearer(chosen, verdict, limited, known) is None
    sentence = outcome_sentence(chosen, verdict, limited, float32, known)
    assert "Nearest is int8; size 180 kB, limit 150 kB" in sentence
    advice = next_step(chosen, verdict, limited, known)
    assert advice == "Allow a size of 180 kB, or give a smaller network."
    allowed = Contract(max_bytes=parse_bytes("180kB"))
    assert choose(known, allowed, float32) == (int8, Verdict.PASSED)


def test_it_is_not_nearer_if_another_limit_is_missed_by_more() -> None:
    both = Contract(limit_ms=1.0, max_bytes=150_000)
    large = trial("large", 1.0, untouched=True, p99_ms=1.5, disk=300_000)
    small = trial("small", 0.7, p99_ms=4.0, disk=160_000, certify=quality(0.0))
    assert nearer(large, Verdict.FAILED, both, [large, small]) is None

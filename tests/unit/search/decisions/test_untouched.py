"""Which untouched engine is the original at its best, and what is said of one that isn't."""

from __future__ import annotations

import msgspec
import pytest
from trial_factory import SAME, quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import OutputCheck, Quality, Trial, Verdict
from whet.core.settings import Settings
from whet.errors import ContractError
from whet.search.decisions.decide import (
    choose,
    keeps,
    promising,
)
from whet.search.decisions.figures import answers_right, damage
from whet.search.decisions.judged import quality_words, within
from whet.search.decisions.order import certify_order
from whet.search.decisions.untouched import (
    best_untouched,
    keepers,
    rows_to_compare,
    samples_to_look_at,
    stranger_note,
    to_certify,
)
from whet.search.intake.outputs import check_outputs
from whet.search.words.outcome import next_step, outcome_sentence
from whet.search.words.reasons import why_lost
from whet.search.words.untried import Untried, Why

CONTRACT = Contract(max_drop=Drop(0.01))


def strange(drop: float) -> Quality:
    return msgspec.structs.replace(quality(drop), difference=0.8)


def second(loss: float, *, broken: int = 0, width: float = 0.001) -> OutputCheck:
    verdict = Verdict.PASSED if loss + width <= 0.01 and not broken else Verdict.FAILED
    return OutputCheck(
        "second", "distance", 1000, loss, loss + width, 0.01, verdict, "test", broken
    )


def with_second(found: OutputCheck) -> Quality:
    passed = quality(0.0)
    return msgspec.structs.replace(passed, verdict=found.verdict, outputs=(found,))


RIGHT = trial("right", 1.0, untouched=True)
FAST = trial("fast", 3.0, untouched=True, select=strange(0.7), certify=strange(0.7))
NEAR = trial("near", 2.0, untouched=True, select=strange(0.001), certify=strange(0.001))


def test_of_those_alike_the_plainest_is_the_best() -> None:
    pinned = msgspec.structs.replace(
        RIGHT, recipe=msgspec.structs.replace(RIGHT.recipe, settings=Settings(pin=True))
    )
    for speedup, best in ((0.985, "plain"), (0.97, "right")):
        plain = trial("plain", speedup, untouched=True)
        assert best_untouched([pinned, plain], CONTRACT, 1000).name == best


def test_the_fastest_that_answers_right_is_the_best() -> None:
    assert best_untouched([FAST, NEAR, RIGHT], CONTRACT, 1000) is RIGHT
    assert best_untouched([FAST, NEAR], CONTRACT, 1000) is NEAR, "none is: then the metric decides"
    lost = trial("lost", 9.0, untouched=True, select=strange(0.9), certify=strange(0.9))
    assert best_untouched([FAST, lost], CONTRACT, 1000) is FAST, "the one that loses least"


def test_to_certify_asks_one_engine_of_each_runtime_the_best_first() -> None:
    other = trial("other", 0.9, untouched=True)
    again = trial("again", 0.8, untouched=True)
    same_runtime = msgspec.structs.replace(
        again, recipe=msgspec.structs.replace(again.recipe, runtime=other.recipe.runtime)
    )
    assert to_certify([FAST, same_runtime, other, RIGHT], RIGHT) == (RIGHT, other)


def test_untouched_alone_proves_nothing() -> None:
    bare = msgspec.structs.replace(RIGHT, select=None, certify=None)
    assert keeps(bare, CONTRACT) is Verdict.UNDECIDED
    assert not promising(bare, CONTRACT, 1000)
    assert damage(bare) == float("inf")
    assert not answers_right(bare)
    assert keeps(RIGHT, CONTRACT) is Verdict.PASSED


def test_an_untouched_engine_that_errs_breaks_the_contract_and_says_so() -> None:
    chosen, verdict = choose([FAST], CONTRACT, FAST)
    assert (chosen, verdict) == (FAST, Verdict.FAILED)
    sentence = outcome_sentence(chosen, verdict, CONTRACT, FAST)
    assert "not kept" in sentence
    assert "untouched, yet its answers differ from the original's by up to 0.8" in sentence
    assert "--runtimes" in next_step(chosen, verdict, CONTRACT, [FAST])
    # More time helps nothing where no runtime computes the original.
    untried = Untried(Why.TIME, budget_s=90.0)
    assert "--runtimes" in next_step(chosen, verdict, CONTRACT, [FAST], untried=untried)


def test_a_proven_candidate_is_chosen_over_a_baseline_that_errs() -> None:
    slow = trial("slow", 0.5, select=quality(0.0), certify=quality(0.0))
    assert choose([FAST, slow], CONTRACT, FAST) == (slow, Verdict.PASSED)
    limited = Contract(limit_ms=1.0, max_drop=Drop(0.01))
    assert choose([FAST, slow], limited, FAST) == (slow, Verdict.FAILED)


def test_an_untouched_engine_that_is_not_alike_is_certified_in_its_turn() -> None:
    near = msgspec.structs.replace(NEAR, certify=None)
    right = msgspec.structs.replace(RIGHT, certify=None)
    assert certify_order([right, near], CONTRACT, 1000, 4) == (near,)


def test_what_certify_answers_say_counts_more_than_what_select_answers_said() -> None:
    later = msgspec.structs.replace(RIGHT, certify=strange(0.7))
    assert answers_right(RIGHT)
    assert not answers_right(later)
    note = stranger_note(later)
    assert note is not None
    assert "doesn't compute what the original computes" in note.reason
    assert stranger_note(RIGHT) is None
    assert stranger_note(trial("int8", 2.0, select=quality(0.5))) is None


def test_the_words_for_the_original_tell_of_the_samples() -> None:
    assert quality_words(SAME) == (
        "its answers are the original's on all 1000 samples, but for rounding"
    )
    assert "all 1000 samples" in outcome_sentence(RIGHT, Verdict.PASSED, CONTRACT, RIGHT)


@pytest.mark.parametrize(
    ("original_ms", "samples", "per", "rows"),
    [(1.0, 500, 1, 64), (1.0, 20, 1, 20), (200.0, 500, 1, 20), (9e3, 500, 1, 8), (1.0, 99, 2, 128)],
)
def test_a_slow_network_is_asked_for_fewer_rows(
    original_ms: float, samples: int, per: int, rows: int
) -> None:
    assert rows_to_compare(original_ms, samples, per) == rows


@pytest.mark.parametrize(
    ("macs", "values", "samples", "per", "looked_at"),
    [
        (10**6, 1000, 500, 1, 64),  # done in an instant
        (10**6, 1000, 20, 1, 20),  # all there are
        (4_100_000_000, 1000, 330, 1, 24),  # ResNet-50: 100 ms a row in eager torch
        (4_100_000_000, 1000, 330, 2, 16),  # pairs take twice as long
        (10**12, 1000, 330, 1, 16),
        (0, 0, 500, 1, 64),  # not counted
        (10**6, 21 * 512 * 512, 500, 1, 18),  # a class of each pixel: 22 MB a row
        (10**6, 21 * 512 * 512, 500, 2, 16),
    ],
)
def test_a_large_network_is_looked_at_on_fewer_samples(
    macs: int, values: int, samples: int, per: int, looked_at: int
) -> None:
    assert samples_to_look_at(macs, values, samples, per) == looked_at


@pytest.mark.parametrize("found", [second(0.5), second(0.001, broken=3)])
def test_a_destroyed_second_output_counts_like_the_first(found: OutputCheck) -> None:
    lost = trial("lost", 3.0, select=with_second(found), certify=with_second(found))
    assert not promising(lost, CONTRACT, 1000)
    assert lost.select is not None
    assert not within(lost.select)
    assert keeps(lost, CONTRACT) is Verdict.FAILED
    assert choose([RIGHT, lost], CONTRACT, RIGHT)[0] is RIGHT
    assert "output 'second'" in why_lost(lost, RIGHT, CONTRACT, RIGHT)
    early: Trial = msgspec.structs.replace(lost, certify=None)
    assert "output 'second'" in why_lost(early, RIGHT, CONTRACT, RIGHT)


def test_a_second_output_that_stays_is_told_too() -> None:
    kept = trial("kept", 3.0, select=with_second(second(0.001)), certify=with_second(second(0.001)))
    assert promising(kept, CONTRACT, 1000)
    chosen, verdict = choose([RIGHT, kept], CONTRACT, RIGHT)
    assert chosen is kept
    assert "output 'second' is away from the original's by 0.0010" in outcome_sentence(
        chosen, verdict, CONTRACT, RIGHT
    )


def test_a_contract_names_outputs_that_there_are() -> None:
    check_outputs(Contract(output="b", ignore_outputs=("a",)), ("a", "b"))
    with pytest.raises(ContractError, match="there is no output 'c'") as caught:
        check_outputs(Contract(output="c", ignore_outputs=("d",)), ("a", "b"))
    assert [i.where for i in caught.value.issues] == ["output", "ignore_outputs"]
    assert "'a', 'b'" in caught.value.issues[0].remedy
    with pytest.raises(ContractError, match="'a' is the output that is judged"):
        check_outputs(Contract(ignore_outputs=("a",)), ("a", "b"))


def test_an_ignored_output_may_have_been_left_out_of_the_graph() -> None:
    check_outputs(Contract(ignore_outputs=("state", "a")), ("b", "a"), ("state",))
    with pytest.raises(ContractError, match="there is no output 'other'"):
        check_outputs(Contract(ignore_outputs=("other",)), ("b", "a"), ("state",))


def test_what_keeps_the_limits_is_asked_where_the_fastest_does_not() -> None:
    """The fastest runtime may be the hungriest."""
    fast = trial("fast", 3.0, untouched=True, disk=2000)
    slow, slower = (trial(n, v, untouched=True, disk=900) for n, v in (("b", 2.0), ("c", 1.0)))
    wrong = trial("wrong", 2.5, untouched=True, disk=900, select=quality(0.5), certify=quality(0.5))
    every = [slower, fast, wrong, slow]
    assert keepers(every, fast, Contract(max_bytes=1000)) == (slow, slower)
    assert keepers(every, fast, Contract(max_bytes=2000)) == ()


def test_where_none_keeps_the_limits_what_comes_nearer_than_the_fastest_is_asked() -> None:
    tight = Contract(max_bytes=100)
    fast, same = (trial(n, v, untouched=True, disk=2000) for n, v in (("a", 3.0), ("b", 2.9)))
    slow, slower = (
        trial(n, v, untouched=True, disk=d) for n, v, d in (("c", 2.0, 900), ("d", 1.0, 800))
    )
    assert keepers([fast, same, slow, slower], fast, tight) == (slower, slow)
    assert keepers([fast, same], fast, tight) == ()


def test_a_slower_median_with_a_tail_that_keeps_the_limit_is_asked() -> None:
    jumpy = trial("jumpy", 3.0, untouched=True, p99_ms=9.0)
    steady = trial("steady", 2.0, untouched=True, p99_ms=4.0)
    assert keepers([jumpy, steady], jumpy, Contract(limit_ms=5.0)) == (steady,)

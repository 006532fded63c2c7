from __future__ import annotations

import msgspec
from trial_factory import quality, trial

from whet.core.contract import Contract, Drop
from whet.core.evidence import OutputCheck, Quality, Verdict
from whet.search.words.outcome import next_step
from whet.search.words.outputs import closest_check, held_back, held_words
from whet.search.words.reasons import why_lost

CONTRACT = Contract(max_drop=Drop(0.01))
BASE = trial("base", 1.0, untouched=True, disk=9000)
OPEN = OutputCheck("label", "equality", 798, 0.0075, 0.0148, 0.01, Verdict.UNDECIDED, "t", 0, 7495)
OWN = msgspec.structs.replace(OPEN, name="scores", rule="constant", needed=600)


def held(*outputs: OutputCheck, verdict: Verdict = Verdict.UNDECIDED) -> Quality:
    return msgspec.structs.replace(
        quality(0.0012), verdict=verdict, outputs=outputs, output="scores", needed=None
    )


FAST = trial("fast", 3.0, select=quality(0.0), certify=held(OPEN))


def test_a_faster_one_that_an_output_held_back_is_told_with_the_remedy() -> None:
    for chosen, verdict in ((BASE, Verdict.PASSED), (BASE, Verdict.FAILED)):
        said = next_step(chosen, verdict, CONTRACT, [BASE, FAST])
        assert said.startswith("fast looks faster, but output 'label' is not proven: it differs")
        assert "about 7,495 samples would settle it" in said
        assert "If nothing reads that output, give --ignore-output label." in said
        assert "would probably pass with" not in said, "told once"


def test_where_something_was_gained_and_kept_nothing_is_advised() -> None:
    chosen = trial("chosen", 2.0, select=quality(0.0), certify=quality(0.0))
    assert next_step(chosen, Verdict.PASSED, CONTRACT, [BASE, FAST, chosen]) == ""


def test_a_smaller_one_that_an_output_held_back_is_told_where_a_limit_is_broken() -> None:
    limited = msgspec.structs.replace(CONTRACT, max_bytes=500)
    small = trial("small", 0.3, select=quality(0.0), certify=held(OPEN), disk=1000)
    said = held_back(BASE, [BASE, small], limited)
    assert said.startswith("small comes nearer to the limits, but output 'label' is not proven")
    assert held_back(BASE, [BASE, small], CONTRACT) == ""


def test_the_judged_output_can_not_be_ignored() -> None:
    own = trial("own", 3.0, select=quality(0.0), certify=held(OWN))
    said = held_back(BASE, [BASE, own], CONTRACT)
    assert "output 'scores' itself is not proven" in said
    assert "--ignore-output" not in said
    both = trial("both", 3.0, select=quality(0.0), certify=held(OPEN, OWN))
    assert "--ignore-output" not in held_back(BASE, [BASE, both], CONTRACT)


def test_a_metric_that_is_not_proven_is_no_affair_of_outputs() -> None:
    own = msgspec.structs.replace(quality(0.009), outputs=(OPEN,))
    assert held_words(trial("own", 3.0, certify=own)) == ""
    assert held_words(trial("new", 3.0)) == ""


def test_why_it_lost_names_the_output() -> None:
    assert why_lost(FAST, BASE, CONTRACT, BASE).startswith("Output 'label' is not proven")
    failed = msgspec.structs.replace(OPEN, verdict=Verdict.FAILED, loss=0.032, needed=None)
    wrong = trial("wrong", 3.0, certify=held(failed, verdict=Verdict.FAILED))
    assert why_lost(wrong, BASE, CONTRACT, BASE).startswith(
        "Breaks the quality clause: output 'label' fails: it differs from the original's in 3.2%"
    )


def test_a_broken_limit_does_not_hide_that_an_output_is_not_proven() -> None:
    """The chosen one breaks it by more: it was taken since it is proven."""
    limited = msgspec.structs.replace(CONTRACT, max_bytes=500)
    assert why_lost(FAST, BASE, limited, BASE).startswith(
        "Breaks the size clause: size 1 kB, limit 500 B. Output 'label' is not proven: it differs"
    )


def test_a_risk_that_an_output_makes_is_not_told_of_the_metric() -> None:
    chosen = trial("chosen", 2.0, select=quality(0.0), certify=quality(0.0))
    risky = trial("risky", 3.0, select=held(OPEN))
    said = why_lost(risky, chosen, CONTRACT, BASE)
    assert "safe enough to certify: output 'label' is not proven" in said
    assert "top1" not in said
    assert closest_check(held(OPEN)) == OPEN
    assert closest_check(quality(0.02)) is None
    worse = msgspec.structs.replace(held(OPEN), bound=0.03)
    assert closest_check(worse) is None

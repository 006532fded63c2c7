from __future__ import annotations

import msgspec
import pytest
from trial_factory import trial

from whet.core.contract import Contract
from whet.core.evidence import Status, Trial, Verdict
from whet.core.recipe import Recipe, Step
from whet.core.settings import Settings
from whet.search.budget.budget import Skipped
from whet.search.words.outcome import next_step, outcome_sentence
from whet.search.words.untried import Untried, Why, untried, untried_notes

BASE = trial("base", 1.0, untouched=True)
INT8 = Recipe((Step("quantize-nncf-ir"),), "openvino", Settings())
OTHER = Recipe((Step("quantize-ort"),), "onnxruntime", Settings())
SHORT = Untried(Why.TIME, budget_s=90.0)


def tried(recipe: Recipe, *, rung: int = 2, status: Status = Status.OK) -> Trial:
    found = trial("int8", 2.0)
    return msgspec.structs.replace(
        found, id=recipe.digest(), recipe=recipe, rung=rung, status=status
    )


def test_int8_that_there_was_no_time_for_is_named_with_the_budget_that_holds_it() -> None:
    skipped = [Skipped(INT8, 61.0), Skipped(OTHER, 75.0)]
    found = untried([BASE], (INT8, OTHER), skipped, stopped=False)
    assert found == Untried(Why.TIME, budget_s=80.0)
    assert found.words == (
        "int8 was not tried for lack of time (a --budget of 80s should allow it)"
    )


def test_a_candidate_left_out_is_known_by_its_passes_whatever_settings_were_best_since() -> None:
    pinned = msgspec.structs.replace(INT8, settings=Settings(pin=True))
    assert untried([BASE], (pinned,), [Skipped(INT8, 61.0)], stopped=False) == Untried(
        Why.TIME, budget_s=80.0
    )


def test_a_probe_alone_is_not_int8() -> None:
    probe = tried(OTHER, rung=0)
    found = untried([BASE, probe], (INT8,), [Skipped(INT8, 61.0)], stopped=False)
    assert found is not None
    assert "only probed" in found.words


@pytest.mark.parametrize("status", [Status.OK, Status.REFUSED, Status.CRASHED])
def test_int8_that_was_tried_and_what_nothing_here_has_are_no_gap(status: Status) -> None:
    skipped = [Skipped(OTHER, 75.0)]
    assert untried([BASE, tried(INT8, status=status)], (INT8, OTHER), skipped, stopped=True) is None
    assert untried([BASE], (), skipped, stopped=False) is None


@pytest.mark.parametrize(("stopped", "why"), [(True, Why.STOPPED), (False, Why.ENOUGH)])
def test_a_climb_that_ended_early_says_why(stopped: bool, why: Why) -> None:
    assert untried([BASE], (INT8,), (), stopped=stopped) == Untried(why)


@pytest.mark.parametrize("why", list(Why))
def test_nothing_faster_is_never_said_without_what_was_not_tried(why: Why) -> None:
    sentence = outcome_sentence(BASE, Verdict.PASSED, Contract(), BASE, untried=Untried(why))
    assert f"nothing proven is faster, but int8 was not tried {why.value}" in sentence
    assert "not tried" not in outcome_sentence(BASE, Verdict.PASSED, Contract(), BASE)


def test_nothing_is_given_up_for_what_was_never_tried() -> None:
    tiny = Contract(max_bytes=500)
    advice = next_step(BASE, Verdict.FAILED, tiny, [BASE], untried=SHORT)
    assert "--budget" in advice
    assert "Allow" not in advice
    assert "Allow a size" in next_step(BASE, Verdict.FAILED, tiny, [BASE])
    more = next_step(BASE, Verdict.FAILED, tiny, [BASE], skipped=20)
    assert more.startswith("Give a longer --budget (20 candidates were not tried), allow a size")


def test_the_note_counts_what_there_was_no_time_for() -> None:
    (note,) = untried_notes(SHORT, [Skipped(INT8, 61.0), Skipped(OTHER, 75.0)])
    assert note.where == "budget"
    assert "a --budget of 90s should allow it" in note.reason
    assert "2 candidates were not tried" in note.reason
    (more,) = untried_notes(None, [Skipped(INT8, 61.0)])
    assert more.reason.startswith("1 candidate was not tried for lack of time")
    assert untried_notes(None, ()) == ()
    assert untried_notes(Untried(Why.ENOUGH), ()) == ()

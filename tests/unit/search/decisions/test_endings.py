from __future__ import annotations

import pytest
from trial_factory import trial

from whet.core.evidence import Status
from whet.errors import (
    EngineError,
    LedgerError,
    OptionError,
    RequirementError,
    TrialCrashedError,
    TrialMemoryError,
    TrialTimeoutError,
    UnsupportedOperatorError,
    WhetError,
)
from whet.search.decisions.endings import ended, holds, reason_of, worth_another_try


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RequirementError("no"), Status.REFUSED),
        (UnsupportedOperatorError("no"), Status.REFUSED),
        (EngineError("no"), Status.REFUSED),
        (OptionError("no"), Status.REFUSED),
        (TrialTimeoutError("no"), Status.TIMED_OUT),
        (TrialMemoryError("no"), Status.OUT_OF_MEMORY),
        (TrialCrashedError("no"), Status.CRASHED),
        (WhetError("no"), Status.CRASHED),
    ],
)
def test_an_error_costs_the_candidate_and_leaves_its_reason(
    error: WhetError, status: Status
) -> None:
    found = ended(trial("t", 1.0), error)
    assert found.status is status
    assert found.notes[-1].reason == "no"


def test_a_full_disk_ends_the_search() -> None:
    with pytest.raises(LedgerError):
        ended(trial("t", 1.0), LedgerError("full"))


def test_only_an_answer_and_a_refusal_hold_until_the_next_run() -> None:
    lasting = {s for s in Status if holds(trial("x", 1.0, status=s))}
    assert lasting == {Status.OK, Status.REFUSED}


def test_only_an_untouched_engine_that_crashed_is_tried_again_at_once() -> None:
    again = {
        (status, untouched)
        for status in Status
        for untouched in (True, False)
        if worth_another_try(trial("x", 1.0, status=status, untouched=untouched))
    }
    assert again == {(Status.CRASHED, True)}


def test_a_failure_without_a_note_still_has_a_reason() -> None:
    assert reason_of(trial("x", 1.0, status=Status.CRASHED))

from __future__ import annotations

import msgspec
import pytest
from trial_factory import trial

from whet.core.evidence import Status
from whet.core.note import Note
from whet.search.words.gaps import gap_notes, gap_sentence, gaps

RAN = trial("openvino fp32", 1.0, untouched=True)


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMED_OUT, Status.OUT_OF_MEMORY])
def test_an_untouched_engine_that_failed_is_named(status: Status) -> None:
    failed = trial("onnxruntime fp32", 1.0, untouched=True, status=status)
    failed = msgspec.structs.replace(failed, notes=(Note("x", "It was killed by SIGKILL."),))
    assert gaps([RAN, failed]) == (failed,)
    (note,) = gap_notes([RAN, failed])
    assert note.where == "onnxruntime fp32"
    assert "the best of those that ran" in note.reason
    assert note.reason.endswith("It was killed by SIGKILL.")
    assert f"onnxruntime fp32 ({status.value}); run it again to try it" in gap_sentence([failed])


def test_what_ran_what_was_refused_and_candidates_leave_no_gap() -> None:
    refused = trial("litert fp32", 1.0, untouched=True, status=Status.REFUSED)
    candidate = trial("openvino int8", 2.0, status=Status.CRASHED)
    for found in (gaps, gap_notes):
        assert found([RAN, refused, candidate]) == ()
    assert gap_sentence([RAN, refused, candidate]) == ""

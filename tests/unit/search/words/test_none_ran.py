from __future__ import annotations

from whet.errors import MeasurementError, RuntimeUnavailableError, TrialCrashedError
from whet.search.words.none_ran import none_ran

DOUBT = MeasurementError("136% of the peak.", "Measure again on a quiet machine.")
CRASH = TrialCrashedError("It died.", "Report it.")


def test_figures_that_cannot_be_believed_are_no_fault_of_the_export() -> None:
    error = none_ran({"a": "136% of the peak.", "b": "119%."}, {"a": DOUBT, "b": DOUBT})
    assert isinstance(error, MeasurementError)
    assert "136% of the peak. 119%." in error.message
    assert error.remedy == "Measure again on a quiet machine."


def test_the_remedies_of_what_went_wrong_come_before_the_general_one() -> None:
    error = none_ran({"a": "136%.", "b": "It died."}, {"a": DOUBT, "b": CRASH})
    assert isinstance(error, RuntimeUnavailableError)
    assert error.remedy.startswith("Measure again on a quiet machine. Report it. Try other")


def test_what_is_only_remembered_has_the_general_remedy() -> None:
    error = none_ran({"a": "Refused."}, {})
    assert isinstance(error, RuntimeUnavailableError)
    assert error.message == "No runtime could run the untouched graph. Refused."
    assert error.remedy.startswith("Try other --runtimes")

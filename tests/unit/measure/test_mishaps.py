from __future__ import annotations

import errno

import pytest

import whet.errors
from whet.errors import (
    EngineError,
    StorageError,
    TrialCrashedError,
    TrialMemoryError,
    UnsupportedOperatorError,
    WhetError,
)
from whet.measure.mishaps import crash_error, reported_error, told_of
from whet.measure.protocol import Failed


@pytest.mark.parametrize(
    ("code", "lines", "kind", "words"),
    [
        (-11, ["boom"], TrialCrashedError, "by SIGSEGV. Its last words: boom"),
        (-9, [], TrialCrashedError, "perhaps the system was out of memory"),
        (-6, ["terminate called: std::bad_alloc"], TrialMemoryError, "by SIGABRT"),
        (3, [], TrialCrashedError, "with status 3"),
        (-99, [], TrialCrashedError, "signal 99"),
    ],
)
def test_a_process_that_went_away(
    code: int, lines: list[str], kind: type[WhetError], words: str
) -> None:
    error = crash_error("one", code, lines)
    assert type(error) is kind
    assert words in error.message
    assert "'one'" in error.message
    assert error.remedy


def test_reported_errors_keep_their_type() -> None:
    error = reported_error("one", Failed("UnsupportedOperatorError", "No.", "Do."), None)
    assert type(error) is UnsupportedOperatorError
    assert (error.message, error.remedy) == ("No.", "Do.")
    assert type(reported_error("one", Failed("", "ValueError: x", ""), None)) is TrialCrashedError
    for other in ("Issue", "ContractError", "__doc__"):
        assert type(reported_error("one", Failed(other, "x", ""), None)) is TrialCrashedError


def test_every_error_that_takes_a_sentence_and_a_remedy_comes_over() -> None:
    for name in whet.errors.__all__:
        kind = vars(whet.errors)[name]
        if issubclass(kind, WhetError) and name != "ContractError":
            assert type(reported_error("one", Failed(name, "m", "r"), None)) is kind


def test_refused_memory_under_a_limit_is_the_limits() -> None:
    failed = Failed("EngineError", "AllocateRawInternal failed.", "")
    assert type(reported_error("one", failed, 10**9)) is TrialMemoryError
    assert type(reported_error("one", failed, None)) is EngineError


def test_a_full_disk_is_no_fault_of_the_contender() -> None:
    failed = told_of(OSError(errno.ENOSPC, "No space left on device", "y.npy"))
    error = reported_error("one", failed, None)
    assert type(error) is StorageError
    assert "y.npy" in error.message

from __future__ import annotations

import errno
import resource
from pathlib import Path

import msgspec
import pytest

from whet.errors import ContractError, Issue, SamplesError, StorageError, TrialCrashedError
from whet.search.workers.failures import NO_ROOM, failure_of, revived
from whet.search.workers.worker import Reply, _answer


def test_our_errors_arrive_as_themselves() -> None:
    error = revived("a:b", failure_of(SamplesError("Wrong.", "Mend it.")))
    assert type(error) is SamplesError
    assert (error.message, error.remedy) == ("Wrong.", "Mend it.")
    clauses = ContractError((Issue("batch", "is wrong.", "Give 1."),))
    arrived = revived("a:b", failure_of(clauses))
    assert isinstance(arrived, ContractError)
    assert arrived.issues == clauses.issues


def test_a_full_disk_is_no_fault_of_the_candidate() -> None:
    error = revived("a:b", failure_of(OSError(errno.ENOSPC, "No space left on device", "x.bin")))
    assert type(error) is StorageError
    assert "x.bin" in error.message
    assert isinstance(revived("a:b", failure_of(OSError(errno.EACCES, "no"))), TrialCrashedError)


@pytest.mark.parametrize(("room", "status"), [(4, NO_ROOM), (1 << 20, 0)])
def test_a_worker_without_room_for_its_answer_says_so(
    room: int, status: int, tmp_path: Path
) -> None:
    reply = Reply(msgspec.Raw(b'"answer"'), None, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        ended = _answer(reply, str(tmp_path / "reply.json"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ended == status
    assert (tmp_path / "reply.json").exists() == (status == 0)

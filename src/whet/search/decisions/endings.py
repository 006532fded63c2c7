"""What an error means for the candidate that met it, and how long that holds; pure.

A refusal holds as long as the graph and the runtimes stay what they are. A crash,
a time limit (which hangs on the time that was left) or a lack of memory may have
had a cause that is gone: each run tries such a candidate afresh, or one bad
moment would ban the best runtime for good.
"""

from __future__ import annotations

import msgspec

from whet.core.evidence import Status, Trial
from whet.core.note import Note
from whet.errors import (
    EngineError,
    OptionError,
    PassError,
    RuntimeUnavailableError,
    StorageError,
    TrialMemoryError,
    TrialTimeoutError,
    WhetError,
)
from whet.search.decisions.figures import is_untouched

__all__ = ["ended", "holds", "reason_of", "uncertified", "worth_another_try"]

_LASTING = frozenset({Status.OK, Status.REFUSED})

_STATUS: tuple[tuple[type[WhetError], Status], ...] = (
    (PassError, Status.REFUSED),
    (EngineError, Status.REFUSED),
    (OptionError, Status.REFUSED),
    (RuntimeUnavailableError, Status.REFUSED),
    (TrialTimeoutError, Status.TIMED_OUT),
    (TrialMemoryError, Status.OUT_OF_MEMORY),
)


def ended(trial: Trial, error: WhetError) -> Trial:
    """The trial with the status and the note that an error means for it.

    Raises:
        StorageError: that one isn't the candidate's fault: it ends the search.
    """
    if isinstance(error, StorageError):
        raise error
    status = next((s for kind, s in _STATUS if isinstance(error, kind)), Status.CRASHED)
    note = Note(trial.name, error.message)
    return msgspec.structs.replace(trial, status=status, notes=(*trial.notes, note))


def uncertified(trial: Trial, error: WhetError) -> Trial:
    """The trial with why its certify answers are missing; a candidate that hung didn't run.

    An untouched engine keeps its status: one of them is what everything is compared with.
    """
    note = Note(trial.name, f"Could not be certified: {error.message}")
    late = isinstance(error, TrialTimeoutError) and not is_untouched(trial)
    status = Status.TIMED_OUT if late else trial.status
    return msgspec.structs.replace(trial, status=status, notes=(*trial.notes, note))


def holds(trial: Trial) -> bool:
    """Whether what an earlier run found of a trial still says something in this one."""
    return trial.status in _LASTING


def worth_another_try(trial: Trial) -> bool:
    """Whether to try again at once: an untouched engine that crashed.

    "Never slower" rests on which untouched engine is the best, so a process that
    was killed from outside must not decide it. Time and memory are as short a
    moment later as they were.
    """
    return trial.status is Status.CRASHED and is_untouched(trial)


def reason_of(trial: Trial) -> str:
    """Why a trial didn't run, in its own words."""
    return trial.notes[-1].reason if trial.notes else "no reason was given."

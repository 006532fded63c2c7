"""What an error means for the candidate that met it; pure."""

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

__all__ = ["ended"]

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

"""What went wrong in a process of ours: as it tells it, and as one of our errors here."""

from __future__ import annotations

import re
import signal
import traceback
from collections.abc import Sequence

import whet.errors
from whet.core.room import full_disk, is_full
from whet.errors import ContractError, TrialCrashedError, TrialError, TrialMemoryError, WhetError
from whet.measure.protocol import Failed

__all__ = ["crash_error", "reported_error", "told_of"]

_ALLOCATION = re.compile(r"bad_?alloc|allocat(e|ion)|MemoryError|out of memory", re.IGNORECASE)
_LEAVE_OUT = "Raise the limit, or leave this candidate out."


def told_of(error: BaseException) -> Failed:
    """In such a process: what its parent is told. What isn't ours goes to standard error as a whole."""
    if isinstance(error, WhetError):
        return Failed(type(error).__name__, error.message, error.remedy)
    if isinstance(error, MemoryError):
        return Failed(TrialMemoryError.__name__, "It ran out of memory.", "Raise its limit.")
    if is_full(error):
        return told_of(full_disk(error))
    traceback.print_exception(error)
    return Failed("", f"{type(error).__name__}: {error}", "")


def crash_error(name: str, code: int, lines: Sequence[str]) -> TrialError:
    """What to say of a process that went away.

    Args:
        name: the contender's.
        code: its exit status; below 0 the signal that ended it.
        lines: the last that it wrote to standard error.
    """
    said = f" Its last words: {' | '.join(lines)}" if lines else ""
    how = f"by {_signal(-code)}" if code < 0 else f"with status {code}"
    if any(_ALLOCATION.search(line) for line in lines):
        return TrialMemoryError(f"'{name}' ran out of memory and ended {how}.{said}", _LEAVE_OUT)
    hint = " (perhaps the system was out of memory)" if code == -signal.SIGKILL else ""
    return TrialCrashedError(
        f"The process of '{name}' ended {how}{hint}.{said}",
        "Leave this candidate out, or report it to the runtime's makers.",
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names of their own
        return f"signal {number}"


def reported_error(name: str, failed: Failed, memory_bytes: int | None) -> WhetError:
    """The error that the process reported; a refused allocation under a limit is that limit's."""
    if memory_bytes is not None and _ALLOCATION.search(failed.message):
        return TrialMemoryError(
            f"'{name}' could not get the memory that it asked for, under a limit of"
            f" {memory_bytes / 1e6:.0f} MB: {failed.message}",
            _LEAVE_OUT,
        )
    kind = vars(whet.errors).get(failed.error)
    # A contract is checked long before; its error alone isn't made of a sentence and a remedy.
    if isinstance(kind, type) and issubclass(kind, WhetError) and kind is not ContractError:
        return kind(failed.message, failed.remedy)
    return TrialCrashedError(
        f"The process of '{name}' raised {failed.message.rstrip('.')}.",
        "Leave this candidate out, or report it.",
    )

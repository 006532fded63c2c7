"""Errors on their way from a worker to its parent: as data, and back to what they were."""

from __future__ import annotations

import signal

import msgspec

from whet import errors
from whet.core.room import full_disk, is_full
from whet.errors import ContractError, Issue, TrialCrashedError, WhetError

__all__ = ["NO_ROOM", "Failure", "ending", "failure_of", "revived"]


# What a worker ends with that had no room for its answer.
NO_ROOM = 74


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An exception on its way to the parent.

    ``kind`` is the name of a class in `whet.errors`, or empty for a foreign
    exception, whose class then stands in ``foreign``.
    """

    kind: str
    message: str
    remedy: str = ""
    foreign: str = ""
    issues: tuple[tuple[str, str, str], ...] = ()


def failure_of(error: Exception) -> Failure:
    """What the parent shall know of an exception."""
    if isinstance(error, MemoryError):
        return Failure("TrialMemoryError", f"It ran out of memory ({str(error) or 'no details'}).")
    if is_full(error):
        return failure_of(full_disk(error))
    if not isinstance(error, WhetError):
        return Failure("", str(error), foreign=type(error).__name__)
    issues = error.issues if isinstance(error, ContractError) else ()
    # A class that isn't in the tree's own module travels as its nearest ancestor there.
    kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == "whet.errors")
    return Failure(
        kind,
        error.message,
        error.remedy,
        issues=tuple((issue.where, issue.message, issue.remedy) for issue in issues),
    )


def revived(target: str, failure: Failure) -> WhetError:
    """The error that the function ``target`` raised, as itself."""
    if failure.foreign:
        return TrialCrashedError(
            f"'{target}' raised {failure.foreign}: {failure.message[:500]}",
            "Its log says more; leave this candidate out, or report it.",
        )
    if failure.kind == "ContractError":
        return ContractError(tuple(Issue(*issue) for issue in failure.issues))
    kind = getattr(errors, failure.kind, None) if failure.kind in errors.__all__ else None
    if isinstance(kind, type) and issubclass(kind, WhetError):
        return kind(failure.message, failure.remedy)
    return TrialCrashedError(f"'{target}' failed: {failure.message}", failure.remedy)


def ending(status: int) -> str:
    """How a process ended, in words, from its return code."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (perhaps the system ran out of memory)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"

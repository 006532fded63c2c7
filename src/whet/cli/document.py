"""What ends a command without a result, as the one JSON document of ``--json``."""

from __future__ import annotations

import contextlib

from whet.cli.console import Console, Unread
from whet.errors import ContractError, Issue, StorageError, WhetError

__all__ = ["error_document", "stopped_document"]


def error_document(console: Console, error: BaseException, code: int) -> None:
    """An error, where JSON is wanted."""
    _write(
        console,
        {
            "kind": type(error).__name__,
            "message": error.message if isinstance(error, WhetError) else str(error),
            "remedy": error.remedy if isinstance(error, WhetError) else "",
            "issues": [
                {"where": i.where, "message": i.message, "remedy": i.remedy} for i in _issues(error)
            ],
        },
        code,
    )


def stopped_document(console: Console, remedy: str, code: int) -> None:
    """The user's wish to end, where JSON is wanted."""
    error: dict[str, object] = {
        "kind": "Stopped",
        "message": "It was interrupted.",
        "remedy": remedy,
        "issues": [],
    }
    _write(console, error, code)


def _issues(error: BaseException) -> tuple[Issue, ...]:
    """What an error tells of together: a contract's clauses, or errors of several things."""
    if isinstance(error, ContractError):
        return error.issues
    if not isinstance(error, WhetError):
        return ()
    alone = (_issues(part) or (Issue("", part.message, part.remedy),) for part in error.parts)
    return tuple(issue for part in alone for issue in part)


def _write(console: Console, error: dict[str, object], code: int) -> None:
    if console.json:
        import msgspec

        # The command ends as it would have, whether its document arrives or not.
        with contextlib.suppress(Unread, StorageError):
            console.document(msgspec.json.encode({"error": error, "exit_code": int(code)}))

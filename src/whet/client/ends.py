"""How calls end: which connections are kept, and how a place failed; pure."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from whet.client.http1 import Broken, Ended
from whet.client.place import Place
from whet.errors import RequestError, ServeError, UnreachableError

__all__ = [
    "may_be_asked_again",
    "not_understood",
    "says_not_ready",
    "unreachable",
]

_READ_AT_ONCE = 1 << 16  # bytes of a request that a server has read when it answers
_NOT_LET_IN = frozenset({401, 403})


def may_be_asked_again(ended: Ended, parts: Sequence[bytes | memoryview]) -> bool:
    """Whether a connection is in order: one that was refused before all was read may not be."""
    refused = ended.status >= 400 and sum(len(part) for part in parts) > _READ_AT_ONCE
    return ended.lasts and not refused


def says_not_ready(error: ServeError) -> bool:
    """False for whoever isn't ready, whatever it says; who doesn't let us in doesn't say.

    Raises:
        ServeError: the server doesn't let us in.
    """
    if isinstance(error, RequestError) and error.status in _NOT_LET_IN:
        raise error
    return False


def unreachable(place: Place, error: OSError) -> UnreachableError:
    """The error for a place that can't be reached."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return UnreachableError(
            f"{place} shows a certificate that isn't trusted: {error.verify_message}.",
            "Give ca_file with what it is signed by.",
        )
    if isinstance(error, ssl.SSLError):
        return UnreachableError(f"{place} doesn't speak TLS.", "Write http:// where it doesn't.")
    return UnreachableError(f"{place} can't be reached: {error}.", "Is a server there?")


def not_understood(place: Place, error: Broken) -> UnreachableError:
    """The error for an answer that is none."""
    return UnreachableError(f"{place} can't be understood: {error}.", "Is it the right port?")

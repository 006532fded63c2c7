"""Who may ask: one gate for every transport, in front of all that it can do."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import final

from whet.errors import RequestError

__all__ = ["Gate"]


@final
class Gate:
    """Keys of which each request has to bring one.

    Args:
        keys: none for a gate that is open.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def check(self, authorization: bytes, api_key: bytes) -> None:
        """Let a request in.

        Args:
            authorization: ``Bearer KEY``, or nothing.
            api_key: the key by itself, or nothing.

        Raises:
            RequestError: it brings no key that is known.
        """
        if not self._keys:
            return
        given = authorization.removeprefix(b"Bearer ") or api_key
        # Each is compared, so that the time says nothing of which one was near.
        if not given or not sum(hmac.compare_digest(given, key) for key in self._keys):
            raise RequestError("A key is needed.", "Send 'Authorization: Bearer KEY'.", status=401)

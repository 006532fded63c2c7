"""How a client asks: where, with which key, for how long, and how often again; the same for both."""

from __future__ import annotations

import random
from pathlib import Path
from typing import final

from whet.client.calls import Call
from whet.client.http1 import Part, head_of
from whet.client.place import place_of
from whet.client.retries import Allowance, Retries
from whet.errors import BusyError, ServeError, UnreachableError

__all__ = ["Manner"]


@final
class Manner:
    """What a client was made with, and the retries that it has left.

    Args:
        url: of the server.
        key: that the server asks for.
        timeout_s: of a call, with all its retries.
        retries: how a call is tried again.
        ca_file: certificates that the server's own is signed by.

    Attributes:
        place: of the server.
        timeout_s: see above.

    Raises:
        OptionError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None,
        timeout_s: float,
        retries: Retries | None,
        ca_file: str | Path | None,
    ) -> None:
        self.place = place_of(url, ca_file)
        self.timeout_s = timeout_s
        self._headers = {"authorization": f"Bearer {key}"} if key is not None else {}
        self._retries = retries if retries is not None else Retries()
        self._allowance = Allowance(self._retries)

    def written(self, call: Call) -> list[Part]:
        """A call as the parts of a request."""
        path, headers = self.place.prefix + call.path, {**self._headers, **call.headers}
        return [head_of(call.method, path, self.place.authority, headers, call.parts), *call.parts]

    def begin(self, call: Call, now_s: float) -> float:
        """A call is made for the first time; until when its answer is of use."""
        self._allowance.earn()
        return now_s + min(self.timeout_s, call.within_s)

    def again_after_s(
        self, error: ServeError, call: Call, tried: int, left_s: float
    ) -> float | None:
        """Seconds to wait before a call is made again; ``None`` for not at all.

        Args:
            error: as it ended.
            call: that was made.
            tried: times so far.
            left_s: until its answer is of no use any more.
        """
        if not call.again:
            return None
        if isinstance(error, BusyError):
            asked_s = error.retry_after_s
        elif isinstance(error, UnreachableError):
            asked_s = 0.0
        else:
            return None
        wait_s = self._retries.waits_s(tried, asked_s, random.random())  # noqa: S311 (no secret)
        return wait_s if wait_s < left_s and self._allowance.spend(tried) else None

"""When a request is asked again; pure.

Retries help where a few requests fail, and make it worse where all do. So each first request earns a
part of a retry, and each retry costs a whole one: when a server is down or overloaded, clients ask it
only a little more than they would without retries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Allowance", "Retries"]


@dataclass(frozen=True)
class Retries:
    """How often, and how soon.

    Attributes:
        most: of one request.
        share: of all requests that may be retries, over some time.
        saved: retries that may be saved for a bad moment.
        first_s: before the first; each further one waits twice as long, at most ``most_s``.
        most_s: see ``first_s``.
    """

    most: int = 2
    share: float = 0.1
    saved: float = 10.0
    first_s: float = 0.02
    most_s: float = 2.0

    def waits_s(self, tried: int, asked_s: float, luck: float) -> float:
        """Seconds before asking again.

        Args:
            tried: times that it was asked so far.
            asked_s: to wait at the least, as the server says.
            luck: from 0 to 1, so that clients that failed together don't come together again.
        """
        longest_s = min(self.most_s, math.ldexp(self.first_s, tried - 1))
        return asked_s + luck * longest_s


class Allowance:
    """The retries that a client may make.

    Args:
        retries: how many.
    """

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._left = retries.saved

    def earn(self) -> None:
        """A request is made for the first time."""
        self._left = min(self._retries.saved, self._left + self._retries.share)

    def spend(self, tried: int) -> bool:
        """Whether a request that was tried so often may be tried again; if so, it is counted."""
        if tried > self._retries.most or self._left < 1:
            return False
        self._left -= 1
        return True

"""The user's wish that a search end early, and what it means at each moment.

    preparing   there is nothing to keep yet: `Stopped` ends the search
    climbing    what is being tried is dropped, nothing new is begun, and the
                search closes with what it has: `Stopped` ends the climb only
    closing     begun work is finished; a closing search no longer listens

It is asked wherever the search waits: at each poll of a worker or a contender,
between the rounds of a race, at each sample that is read.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import final

from whet.search.events import Stopped

__all__ = ["Stop"]


@final
@dataclass(frozen=True)
class Stop:
    """Set by the user, listened to by whoever does something that takes long.

    Attributes:
        asked: the wish; one that nobody holds is never set.
    """

    asked: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Go on, unless the user asked to stop.

        Raises:
            Stopped: he did.
        """
        if self.asked.is_set():
            raise Stopped

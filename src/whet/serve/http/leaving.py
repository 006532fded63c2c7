"""Clients that don't wait for their answer: nobody works for them any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import final

from whet.serve.http.exchange import ClientLeft, Receive, Reply

__all__ = ["unless_left"]

_LEAVING_S = 0.05  # a request that takes longer is asked whether its client is still there


async def unless_left(answering: Awaitable[Reply], receive: Receive) -> Reply:
    """An answer, given up when the client leaves; quick ones aren't watched, which costs nothing."""
    own = asyncio.current_task()
    if own is None:
        return await answering
    watch = _Watch(own, receive)
    alarm = asyncio.get_running_loop().call_later(_LEAVING_S, watch.begin)
    try:
        return await answering
    except asyncio.CancelledError:
        if watch.left:
            own.uncancel()
            raise ClientLeft from None
        raise
    finally:
        alarm.cancel()
        watch.end()


@final
class _Watch:
    """Looks out for a client that leaves, and ends the task that works for it."""

    def __init__(self, working: asyncio.Task[object], receive: Receive) -> None:
        self.left = False
        self._working = working
        self._receive = receive
        self._looking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._looking = asyncio.ensure_future(self._look())

    def end(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self._working.cancel()

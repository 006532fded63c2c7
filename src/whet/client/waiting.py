"""A client for asyncio: many questions under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from whet.client import calls
from whet.client.calls import Call, Inputs
from whet.client.ends import may_be_asked_again, not_understood, says_not_ready, unreachable
from whet.client.http1 import Broken, Ended, Part, Reading, Stale
from whet.client.manner import Manner
from whet.client.messages import Inference, answer_of, need_answer, plain_of
from whet.client.place import Place
from whet.client.retries import Retries
from whet.errors import LateError, ServeError

__all__ = ["AsyncClient"]

_CLOSED = Broken("it broke the connection off", begun=False)
_TOGETHER = 1 << 16  # parts of small requests are put together, which takes less than to send each


@final
class AsyncClient:
    """Asks a server over connections that are kept open; of one event loop.

    Its methods are those of `Client`, to be awaited.

    Args:
        url: ``http://host:port``, ``https://...`` or ``unix:/path``.
        key: that the server asks for.
        timeout_s: of a call, with all its retries.
        retries: how a call is tried again that the server refused or never answered.
        ca_file: certificates that the server's own is signed by; those of this machine if left out.
        most: connections at once; further calls wait for one.

    Raises:
        OptionError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
        ca_file: str | Path | None = None,
        most: int = 256,
    ) -> None:
        self._manner = Manner(url, key=key, timeout_s=timeout_s, retries=retries, ca_file=ca_file)
        self._room = asyncio.Semaphore(most)
        self._closed = False
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.abort()
        await asyncio.sleep(0)  # in which they are closed

    async def infer(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: str = "",
        outputs: Sequence[str] = (),
        timeout_ms: float | None = None,
        priority: int | None = None,
        id: str = "",  # noqa: A002 (the protocol's word)
    ) -> Inference:
        """Ask a model; see `Client.infer`."""
        call = calls.infer(
            model,
            inputs,
            version=version,
            outputs=outputs,
            timeout_ms=timeout_ms,
            priority=priority,
            id=id,
        )
        return answer_of(await self._asked(call))

    async def metadata(self, model: str = "") -> Any:
        """What a model takes and gives; without a name, what the server is."""
        return plain_of(await self._asked(calls.metadata(model)))

    async def statistics(self, model: str = "") -> Any:
        """What a model did, or all."""
        return plain_of(await self._asked(calls.statistics(model)))["model_stats"]

    async def ready(self, model: str = "") -> bool:
        """Whether a model, or the server, answers."""
        try:
            await self._asked(calls.ready(model))
        except ServeError as error:
            return says_not_ready(error)
        return True

    async def models(self) -> Any:
        """All models that the server knows, and their states."""
        return plain_of(await self._asked(calls.repository("", "")))

    async def load(self, model: str) -> None:
        """Have a model loaded again; what answered goes on until then."""
        await self._asked(calls.repository(model, "load"))

    async def unload(self, model: str) -> None:
        """Have a model answer no more."""
        await self._asked(calls.repository(model, "unload"))

    async def _asked(self, call: Call) -> Ended:
        try:
            async with asyncio.timeout(self._manner.timeout_s):
                return await self._until_answered(call)
        except TimeoutError as error:
            raise LateError("The server didn't answer in time.", "Allow more time.") from error

    async def _until_answered(self, call: Call) -> Ended:
        now = asyncio.get_running_loop().time
        last_s = self._manner.begin(call, now())
        tried = 0
        while True:
            tried += 1
            try:
                ended = await self._once(call)
                need_answer(ended)
            except ServeError as error:
                wait_s = self._manner.again_after_s(error, call, tried, last_s - now())
                if wait_s is None:
                    raise
            else:
                return ended
            await asyncio.sleep(wait_s)

    async def _once(self, call: Call) -> Ended:
        """Ask over a connection that was kept, or a new one; keep it if it can be asked again."""
        parts = self._manner.written(call)
        async with self._room:
            while True:
                connection = self._kept() if call.again else None
                if connection is None:
                    connection = await _connected(self._manner.place)
                try:
                    ended = await connection.ask(parts)
                except Stale:
                    connection.abort()
                    continue
                except BaseException:
                    connection.abort()
                    raise
                if may_be_asked_again(ended, parts) and not self._closed:
                    self._idle.append(connection)
                else:
                    connection.abort()
                return ended

    def _kept(self) -> _Connection | None:
        return self._idle.pop() if self._idle else None


async def _connected(place: Place) -> _Connection:
    loop = asyncio.get_running_loop()
    try:
        if place.uds is not None:
            _, connection = await loop.create_unix_connection(lambda: _Connection(place), place.uds)
        else:
            _, connection = await loop.create_connection(
                lambda: _Connection(place), place.host, place.port, ssl=place.tls
            )
    except OSError as error:
        raise unreachable(place, error) from error
    return connection


class _Connection(asyncio.Protocol):
    """A connection, and the question that it is at."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._lost = False
        self._answered = False
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._end: asyncio.Future[Ended] | None = None

    async def ask(self, parts: Sequence[Part]) -> Ended:
        """Send a request and wait for its answer.

        Raises:
            Stale: the server had closed it before.
        """
        if self._transport is None or self._lost:
            raise Stale if self._answered else not_understood(self._place, _CLOSED)
        self._reading = Reading()
        self._end = asyncio.get_running_loop().create_future()
        if sum(len(part) for part in parts) <= _TOGETHER:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)
        return await self._end

    def abort(self) -> None:
        """Let it go, with what isn't sent yet: a server that hangs would never take it."""
        self._lost = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._reading is None or self._end is None or self._end.done():
            self.abort()  # an answer to nothing
            return
        try:
            self._reading.feed(data)
        except Broken as error:
            self._end.set_exception(not_understood(self._place, error))
            self.abort()
            return
        if self._reading.ended is not None:
            self._answered = True
            self._end.set_result(self._reading.ended)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Called by the event loop."""
        self._lost = True
        if self._reading is None or self._end is None or self._end.done():
            return
        try:
            self._end.set_result(self._reading.closed())
        except Broken as error:
            stale = self._answered and not error.begun
            self._end.set_exception(Stale() if stale else not_understood(self._place, error))

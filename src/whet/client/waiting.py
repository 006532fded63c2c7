"""A client for asyncio: many questions under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from whet.client import calls
from whet.client.calls import Call, Inputs
from whet.client.ends import (
    again_after_s,
    may_be_asked_again,
    not_understood,
    says_not_ready,
    unreachable,
)
from whet.client.http1 import Broken, Ended, Reading, head_of
from whet.client.messages import Inference, answer_of, need_answer, plain_of
from whet.client.place import Place, place_of
from whet.client.retries import Allowance, Retries
from whet.errors import BusyError, LateError, ServeError, UnreachableError

__all__ = ["AsyncClient"]

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
        self._place = place_of(url, ca_file)
        self._headers = {"authorization": f"Bearer {key}"} if key is not None else {}
        self._timeout_s = timeout_s
        self._retries = retries if retries is not None else Retries()
        self._allowance = Allowance(self._retries)
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
            await self._asked(calls.ready(model), retry=False)
        except ServeError as error:
            return says_not_ready(error)
        return True

    async def models(self) -> Any:
        """All models that the server knows, and their states."""
        return plain_of(await self._asked(calls.repository("", "")))

    async def load(self, model: str) -> None:
        """Have a model loaded again; what answered goes on until then."""
        await self._asked(calls.repository(model, "load"), retry=False)

    async def unload(self, model: str) -> None:
        """Have a model answer no more."""
        await self._asked(calls.repository(model, "unload"), retry=False)

    async def _asked(self, call: Call, *, retry: bool = True) -> Ended:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._until_answered(call, retry=retry)
        except TimeoutError as error:
            raise LateError("The server didn't answer in time.", "Allow more time.") from error

    async def _until_answered(self, call: Call, *, retry: bool) -> Ended:
        now = asyncio.get_running_loop().time
        last_s = now() + min(self._timeout_s, call.within_s)
        self._allowance.earn()
        tried = 0
        while True:
            tried += 1
            try:
                return await self._once(call)
            except (BusyError, UnreachableError) as error:
                wait_s = again_after_s(
                    error,
                    call,
                    tried,
                    left_s=last_s - now() if retry else 0.0,
                    retries=self._retries,
                    allowance=self._allowance,
                )
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)

    async def _once(self, call: Call) -> Ended:
        head = head_of(
            call.method,
            self._place.prefix + call.path,
            self._place.authority,
            {**self._headers, **call.headers},
            call.parts,
        )
        async with self._room:
            connection = await self._connection()
            try:
                ended = await connection.ask([head, *call.parts])
            except BaseException:
                connection.abort()
                raise
            if may_be_asked_again(ended, call.parts) and not self._closed:
                self._idle.append(connection)
            else:
                connection.abort()
        need_answer(ended)
        return ended

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
        return await _connected(self._place)


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
        self.lost = False
        self._place = place
        self._transport: asyncio.Transport | None = None
        self._reading: Reading | None = None
        self._end: asyncio.Future[Ended] | None = None

    async def ask(self, parts: Sequence[bytes | memoryview]) -> Ended:
        """Send a request and wait for its answer."""
        if self._transport is None or self.lost:
            raise not_understood(self._place, Broken("it broke the connection off", begun=False))
        self._reading = Reading()
        self._end = asyncio.get_running_loop().create_future()
        if sum(len(part) for part in parts) <= _TOGETHER:
            self._transport.write(b"".join(parts))
        else:
            self._transport.writelines(parts)
        return await self._end

    def abort(self) -> None:
        """Let it go, with what isn't sent yet: a server that hangs would never take it."""
        self.lost = True
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
            self._end.set_result(self._reading.ended)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Called by the event loop."""
        self.lost = True
        if self._reading is None or self._end is None or self._end.done():
            return
        try:
            self._end.set_result(self._reading.closed())
        except Broken as error:
            self._end.set_exception(not_understood(self._place, error))

"""The ASGI application: one gate, then what the path asks for."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import final

import msgspec

from whet.errors import BusyError, RequestError, ServeError, UnknownModelError
from whet.serve.hosting.counts import statistics_of
from whet.serve.hosting.repository import Repository
from whet.serve.hosting.sources import Sources
from whet.serve.http.exchange import (
    ClientLeft,
    Receive,
    Reply,
    Scope,
    Send,
    body_of,
    headers_of,
    send_reply,
)
from whet.serve.http.inference import infer
from whet.serve.http.metadata import config_of, model_metadata, server_metadata
from whet.serve.http.routes import Route, match
from whet.serve.wire.compression import chosen_coding
from whet.serve.wire.limits import Limits
from whet.serve.wire.response import error_body

__all__ = ["App", "Front"]

_LOG = logging.getLogger("whet.serve")
_LEAVING_S = 0.05  # a request that waits longer is asked whether its client is still there
_SMALL_BODY = Limits(body_bytes=1 << 16)
_OPEN = frozenset({"live", "ready"})  # what probes ask without a key


@dataclass(frozen=True)
class Front:
    """How the application meets its clients.

    Attributes:
        name: of the server, as its metadata say it.
        keys: of which each request has to bring one; none for everybody.
        limits: on requests.
        receive_s: within which a body has to be there.
        control: whether clients may have models loaded again and unloaded.
    """

    name: str = "whet"
    keys: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    receive_s: float = 30.0
    control: bool = False


@final
class App:
    """The models of a repository over HTTP.

    Args:
        repository: the models.
        front: how clients are met.
        sources: from which models can be loaded again; ``None`` where they stay as they are.

    Attributes:
        repository: the models.
        ready: whether requests are to be sent here.
    """

    def __init__(
        self, repository: Repository, front: Front, sources: Sources | None = None
    ) -> None:
        self.repository = repository
        self.ready = False
        self._front = front
        self._keys = [key.encode() for key in front.keys]
        self._answers: dict[str, Callable[[Route], Reply]] = {
            "live": lambda _: Reply(200, (b'{"live":true}',)),
            "ready": self._is_ready,
            "server": lambda _: _json(server_metadata(front.name)),
            "model": self._model,
            "model_ready": self._model_ready,
            "config": lambda r: _json(config_of(repository.find(r.model, r.version).hosted)),
            "model_stats": self._stats,
            "all_stats": self._stats,
            "index": lambda _: _json(sources.index() if sources is not None else self._answering()),
        }
        self._changes: dict[str, Callable[[Route], Awaitable[Reply]]] = {}
        if sources is not None and front.control:
            self._changes = {
                "load": lambda r: _done(sources.load(r.model)),
                "unload": lambda r: _done(sources.unload(r.model)),
            }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        arrived_s = time.monotonic()
        coding: str | None = None
        try:
            headers = headers_of(scope)
            coding = chosen_coding(headers.get(b"accept-encoding", b"").decode("latin-1"))
            reply = await self._answered(scope, receive, headers, arrived_s)
        except ServeError as error:
            reply = _refusal(error)
        except ClientLeft:
            return
        except Exception:  # noqa: BLE001 (a fault of ours must not end the connection unanswered)
            _LOG.exception("a request failed")
            reply = Reply(500, (error_body("Something went wrong here."),))
        await send_reply(send, reply, coding)

    async def _answered(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], arrived_s: float
    ) -> Reply:
        route = match(scope["raw_path"].partition(b"?")[0])
        self._need_key(route, headers)
        if not route.name:
            raise UnknownModelError("There is nothing here.", "See the protocol for its paths.")
        if scope["method"] != route.method:
            raise RequestError(f"Only {route.method} is taken here.", status=405)
        if route.name in self._changes:
            await body_of(receive, headers, _SMALL_BODY, self._front.receive_s)
            return await self._changes[route.name](route)
        if route.name != "infer":
            answer = self._answers.get(route.name)
            if answer is None:
                raise UnknownModelError("There is nothing here.", "See the server's extensions.")
            return answer(route)
        self.repository.find(route.model, route.version)  # before a body is waited for
        body = await body_of(receive, headers, self._front.limits, self._front.receive_s)
        entry = self.repository.find(route.model, route.version)  # it may be another one by now
        try:
            return await _unless_left(
                infer(entry, body, headers, self._front.limits, arrived_s), receive
            )
        except ServeError:
            entry.counts.failed(time.monotonic() - arrived_s)
            raise

    def _need_key(self, route: Route, headers: Mapping[bytes, bytes]) -> None:
        if not self._keys or route.name in _OPEN:
            return
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        given = given or headers.get(b"x-api-key", b"")
        # Each is compared, so that the time says nothing of which one was near.
        if not sum(hmac.compare_digest(given, key) for key in self._keys):
            raise RequestError("A key is needed.", "Send 'Authorization: Bearer KEY'.", status=401)

    def _answering(self) -> list[dict[str, str]]:
        return [
            {"name": e.hosted.name, "version": e.hosted.version, "state": "READY", "reason": ""}
            for e in self.repository
        ]

    def _is_ready(self, _: Route) -> Reply:
        text = msgspec.json.encode({"ready": self.ready})
        return Reply(200 if self.ready else 503, (text,))

    def _model(self, route: Route) -> Reply:
        hosted = self.repository.find(route.model, route.version).hosted
        return _json(model_metadata(hosted, self.repository.versions(route.model)))

    def _model_ready(self, route: Route) -> Reply:
        hosted = self.repository.find(route.model, route.version).hosted
        return _json({"name": hosted.name, "ready": True})

    def _stats(self, route: Route) -> Reply:
        found = (
            [self.repository.find(route.model, route.version)]
            if route.model
            else list(self.repository)
        )
        return _json(
            {
                "model_stats": [
                    statistics_of(e.hosted.name, e.hosted.version, e.counts) for e in found
                ]
            }
        )


async def _unless_left(answering: Awaitable[Reply], receive: Receive) -> Reply:
    """An answer, given up when the client leaves; quick ones aren't watched."""
    task = asyncio.ensure_future(answering)
    done, _ = await asyncio.wait({task}, timeout=_LEAVING_S)
    if done:
        return task.result()
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientLeft
        return task.result()
    finally:
        leaving.cancel()
        task.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _done(change: Awaitable[None]) -> Reply:
    await change
    return Reply(200)


def _json(value: object) -> Reply:
    return Reply(200, (msgspec.json.encode(value),))


def _refusal(error: ServeError) -> Reply:
    reply = Reply(error.status, (error_body(str(error)),))
    if isinstance(error, BusyError):
        seconds = str(max(1, math.ceil(error.retry_after_s))).encode()
        return Reply(error.status, reply.parts, (*reply.headers, (b"retry-after", seconds)))
    if error.status == 415:
        return Reply(415, reply.parts, (*reply.headers, (b"accept-encoding", b"gzip, deflate")))
    return reply

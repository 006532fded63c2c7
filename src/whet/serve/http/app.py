"""The ASGI application: one gate, then what the path asks for."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import final

import msgspec

from whet.errors import BusyError, ServeError, UnknownModelError
from whet.serve.gate import Gate
from whet.serve.hosting.repository import Repository
from whet.serve.hosting.sources import Sources
from whet.serve.http.exchange import (
    JSON,
    ClientLeft,
    Receive,
    Reply,
    Scope,
    Send,
    body_of,
    headers_of,
    send_reply,
)
from whet.serve.http.inference import (
    Allowed,
    infer_over_http,
    predict_as_tensorflow,
    predict_as_torchserve,
)
from whet.serve.http.leaving import unless_left
from whet.serve.http.routes import Route, match
from whet.serve.http.told import Told
from whet.serve.logs import EVENTS, REQUESTS
from whet.serve.wire.compression import chosen_coding
from whet.serve.wire.json_text import parsed
from whet.serve.wire.limits import Limits
from whet.serve.wire.regions import Region, Regions
from whet.serve.wire.response import error_body

__all__ = ["App", "Front"]

_SMALL_BODY = Limits(body_bytes=1 << 16)
_OPEN = frozenset({"live", "ready", "ping"})  # what probes ask without a key
_ASKS = {
    "infer": infer_over_http,
    "predict": predict_as_tensorflow,
    "prediction": predict_as_torchserve,
}


@dataclass(frozen=True)
class Front:
    """How the application meets its clients.

    Attributes:
        name: of the server, as its metadata say it.
        keys: of which each request has to bring one; none for everybody.
        limits: on requests.
        receive_s: within which a body has to be there.
        control: whether clients may have models loaded again and unloaded.
        metrics: whether they may see metrics.
        access_log: whether a line is written for each request.
    """

    name: str = "whet"
    keys: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    receive_s: float = 30.0
    control: bool = False
    metrics: bool = True
    access_log: bool = False


@final
class App:
    """The models of a repository over HTTP.

    Args:
        repository: the models.
        front: how clients are met.
        sources: from which models can be loaded again; ``None`` where they stay as they are.
        regions: of shared memory that clients may use; ``None`` where they may not.

    Attributes:
        repository: the models.
    """

    def __init__(
        self,
        repository: Repository,
        front: Front,
        sources: Sources | None = None,
        regions: Regions | None = None,
    ) -> None:
        self.repository = repository
        self._front = front
        self._gate = Gate(front.keys)
        self._told = Told(repository, sources, front.name, regions)
        self._allowed = Allowed(front.limits, regions)
        self._changes: dict[str, Callable[[Route, bytes], Awaitable[Reply]]] = {}
        if sources is not None and front.control:
            self._changes |= {
                "load": lambda r, _: _done(sources.load(r.model)),
                "unload": lambda r, _: _done(sources.unload(r.model)),
            }
        if regions is not None:
            self._changes |= {
                "shm_register": lambda r, body: _registered(regions, r.model, body),
                "shm_unregister": lambda r, _: _unregistered(regions, r.model),
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
            EVENTS.exception("a request failed")
            reply = Reply(500, (error_body("Something went wrong here."),))
        await send_reply(send, reply, coding)
        if self._front.access_log:
            _log_request(scope, reply.status, arrived_s)

    async def _answered(
        self, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes], arrived_s: float
    ) -> Reply:
        route = match(scope["raw_path"].partition(b"?")[0])
        if route.name not in _OPEN:
            self._gate.check(headers.get(b"authorization", b""), headers.get(b"x-api-key", b""))
        if not route.name:
            raise UnknownModelError("There is nothing here.", "See the protocol for its paths.")
        if scope["method"] != route.method:
            said = error_body(f"Only {route.method} is taken here.")
            return Reply(405, (said,), (JSON, (b"allow", route.method.encode())))
        if route.name in _ASKS:
            return await self._asked(route, receive, headers, arrived_s)
        hidden = route.name == "metrics" and not self._front.metrics
        if route.name in self._told and not hidden:
            return self._told.answer(route, headers)
        change = self._changes.get(route.name)
        if change is None:
            raise UnknownModelError("There is nothing here.", "See the server's extensions.")
        body = await body_of(receive, headers, _SMALL_BODY, self._front.receive_s)
        return await change(route, body)

    async def _asked(
        self, route: Route, receive: Receive, headers: Mapping[bytes, bytes], arrived_s: float
    ) -> Reply:
        entry = self.repository.find(route.model, route.version)  # before a body is waited for
        try:
            body = await body_of(receive, headers, self._front.limits, self._front.receive_s)
            entry = self.repository.find(route.model, route.version)  # it may be another one by now
            return await unless_left(
                _ASKS[route.name](entry, body, headers, self._allowed, arrived_s), receive
            )
        except ServeError as error:
            entry.counts.failed(error, time.monotonic() - arrived_s)
            raise
        except ClientLeft:
            entry.counts.left()
            raise


def _log_request(scope: Scope, status: int, arrived_s: float) -> None:
    REQUESTS.info(
        "request",
        extra={
            "method": scope["method"],
            "path": scope["raw_path"].decode("latin-1"),
            "status": status,
            "ms": round((time.monotonic() - arrived_s) * 1e3, 3),
        },
    )


class _Registration(msgspec.Struct, frozen=True):
    key: str
    byte_size: int
    offset: int = 0


async def _registered(regions: Regions, name: str, body: bytes) -> Reply:
    asked = parsed(body, _Registration, "request")
    regions.register(Region(name, asked.key, asked.offset, asked.byte_size))
    return Reply(200)


async def _unregistered(regions: Regions, name: str) -> Reply:
    regions.unregister(name)
    return Reply(200)


async def _done(change: Awaitable[None]) -> Reply:
    await change
    return Reply(200)


def _refusal(error: ServeError) -> Reply:
    reply = Reply(error.status, (error_body(str(error)),))
    if isinstance(error, BusyError):
        seconds = str(max(1, math.ceil(error.retry_after_s))).encode()
        return Reply(error.status, reply.parts, (*reply.headers, (b"retry-after", seconds)))
    if error.status == 415:
        return Reply(415, reply.parts, (*reply.headers, (b"accept-encoding", b"gzip, deflate")))
    return reply

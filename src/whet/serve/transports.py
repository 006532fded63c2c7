"""How clients reach a server: HTTP and gRPC, each from when it listens until its last connection is gone."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whet._optional import require
from whet.errors import HostError
from whet.serve.gate import Gate
from whet.serve.grpc.server import At, listening
from whet.serve.grpc.service import Service
from whet.serve.http.app import App
from whet.serve.http.guarded import Guarded, Patience
from whet.serve.tls import Tls
from whet.serve.wire.limits import Limits

__all__ = ["Bind", "Transport", "listening_at", "over_grpc", "over_http"]

_BACKLOG = 2048
_KEEP_ALIVE_S = 75


@dataclass(frozen=True)
class Bind:
    """Where a server listens.

    Attributes:
        host: an address of this machine; by default only itself can reach it.
        port: 0 for any that is free.
        uds: path of a Unix socket, in place of both.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    uds: Path | None = None


@dataclass(frozen=True)
class Transport:
    """One that is up.

    Attributes:
        where: clients reach it.
        stop: accept nothing more, and wait until what is there is answered, or for so long.
    """

    where: str
    stop: Callable[[], Awaitable[None]]


def _free(path: Path) -> None:
    """Take away the socket of a server that is gone; nothing else.

    Raises:
        OSError: something else stands there, or a server listens at it.
    """
    if not path.exists():
        return
    if not path.is_socket():
        raise FileExistsError(f"'{path}' is a file")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise FileExistsError("a server listens there already")


def listening_at(bind: Bind) -> socket.socket:
    """A socket that listens, taken before anything is promised.

    Raises:
        HostError: it can't be had.
    """
    try:
        if bind.uds is not None:
            _free(bind.uds)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listening.bind(str(bind.uds))
            listening.listen(_BACKLOG)  # from now on another one is refused here
        else:
            listening = socket.create_server(
                (bind.host, bind.port), backlog=_BACKLOG, reuse_port=False
            )
    except (OSError, OverflowError) as error:
        where = bind.uds or f"{bind.host}:{bind.port}"
        raise HostError(
            f"{where} can't be listened at: {error}.", "Choose another --host or --port."
        ) from error
    listening.setblocking(False)
    return listening


def _where(listening: socket.socket, tls: Tls | None) -> str:
    name = listening.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    scheme = "http" if tls is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def over_http(
    app: App, listening: socket.socket, *, patience: Patience, tls: Tls | None, drain_s: float
) -> Transport:
    """Speak HTTP.

    Args:
        app: that answers.
        listening: socket that has been taken.
        patience: with slow connections.
        tls: the certificate; ``None`` for plain connections.
        drain_s: how long its stop waits.
    """
    server = _server(app, patience, tls, drain_s)
    await server.startup(sockets=[listening])

    async def stop() -> None:
        await server.shutdown(sockets=[listening])
        for connection in tuple(server.server_state.connections):  # who didn't go by then
            connection.transport.abort()
        await asyncio.sleep(0)  # in which they are closed

    return Transport(_where(listening, tls), stop)


async def over_grpc(
    service: Service, at: At, *, gate: Gate, limits: Limits, tls: Tls | None, drain_s: float
) -> Transport:
    """Speak gRPC; arguments as of `over_http`.

    Raises:
        HostError: it can't listen there.
        MissingExtraError: gRPC's packages aren't installed.
    """
    server, port = await listening(service, at, gate=gate, limits=limits, tls=tls)
    host = f"[{at.host}]" if ":" in at.host else at.host

    async def stop() -> None:
        await server.stop(drain_s)

    return Transport(f"grpc{'s' if tls is not None else ''}://{host}:{port}", stop)


def _server(app: App, patience: Patience, tls: Tls | None, drain_s: float) -> Any:
    """Uvicorn's server, without its own signals and logs; its connections have deadlines."""
    uvicorn = require("uvicorn", "serve")
    protocol = require("uvicorn.protocols.http.httptools_impl", "serve").HttpToolsProtocol
    config = uvicorn.Config(
        app,
        http=lambda **options: Guarded(protocol(**options), patience),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(drain_s),
    )
    config.load()
    if tls is not None:
        config.ssl = tls.context()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server

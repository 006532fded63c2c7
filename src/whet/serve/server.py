"""A server's life: open the models, listen, answer, stop; the shell around the application.

Stopping has four steps: say that nothing more is to be sent here, stop accepting, answer what is
there within a limit, free the engines.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whet._optional import require
from whet.errors import HostError, OptionError
from whet.serve.hosting.hosted import Hosting, host, need_name
from whet.serve.hosting.repository import Repository
from whet.serve.hosting.sources import Sources
from whet.serve.http.app import App, Front
from whet.serve.http.guarded import Guarded, Patience

__all__ = ["Bind", "Serving", "listening_at", "lived", "serve"]

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
class Serving:
    """How models are served.

    Attributes:
        bind: where.
        front: how clients are met.
        hosting: how each model is served.
        patience: with slow connections.
        drain_s: for what is there when the server is told to stop.
    """

    bind: Bind = field(default_factory=Bind)
    front: Front = field(default_factory=Front)
    hosting: Hosting = field(default_factory=Hosting)
    patience: Patience = field(default_factory=Patience)
    drain_s: float = 25.0


def serve(
    bundles: Sequence[tuple[str | None, str | Path]],
    serving: Serving,
    *,
    on_ready: Callable[[str], None] = lambda _: None,
) -> bool:
    """Serve bundles until a signal says to stop.

    Args:
        bundles: each with the name to be asked under; its own where there is none.
        serving: how.
        on_ready: told where, once all models are ready.

    Returns:
        Whether all that was there could be answered.

    Raises:
        BundleError: a bundle is refused.
        HostError: a runtime or the server's packages aren't installed, or it can't listen there.
        OptionError: two bundles have one name, or one can't be a name.
    """
    repository, folders = Repository(), dict[str, Path]()
    for name, path in bundles:
        folders[_opened(path, name, serving.hosting, repository)] = Path(path)
    sources = Sources(folders, serving.hosting, repository, drain_s=serving.drain_s)
    app = App(repository, serving.front, sources)
    listening = listening_at(serving.bind)
    loops = require("uvloop", "serve")
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(_until_a_signal(app, listening, serving, sources, on_ready))


async def _until_a_signal(
    app: App,
    listening: socket.socket,
    serving: Serving,
    sources: Sources,
    on_ready: Callable[[str], None],
) -> bool:
    """The first signal stops gently; a second one as any program."""
    loop, ending = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        ending.set()
        for each in _SIGNALS:
            loop.remove_signal_handler(each)

    for each in _SIGNALS:
        loop.add_signal_handler(each, stop)
    return await lived(app, listening, serving, sources, on_ready, ending)


def _opened(path: str | Path, name: str | None, hosting: Hosting, repository: Repository) -> str:
    hosted = host(path, hosting, name=name)
    need_name(hosted.name)
    if repository.versions(hosted.name):
        raise OptionError(
            f"Two bundles are named '{hosted.name}'.", "Name one of them: NAME=FOLDER."
        )
    repository.put(hosted)
    return hosted.name


def listening_at(bind: Bind) -> socket.socket:
    """A socket that listens, taken before anything is promised.

    Raises:
        HostError: it can't be had.
    """
    try:
        if bind.uds is not None:
            bind.uds.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listening.bind(str(bind.uds))
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


def _where(listening: socket.socket) -> str:
    name = listening.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    host, port = name[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def lived(
    app: App,
    listening: socket.socket,
    serving: Serving,
    sources: Sources,
    on_ready: Callable[[str], None],
    ending: asyncio.Event,
) -> bool:
    """Answer until it is told to end; whether all that was there by then got its answer."""
    server = _server(app, serving)
    await server.startup(sockets=[listening])
    app.ready = True
    on_ready(_where(listening))
    await ending.wait()
    app.ready = False
    await server.shutdown(sockets=[listening])
    for connection in tuple(server.server_state.connections):  # who didn't go by then
        connection.transport.abort()
    await asyncio.sleep(0)  # in which they are closed
    if serving.bind.uds is not None:
        serving.bind.uds.unlink(missing_ok=True)
    return await sources.close()


def _server(app: App, serving: Serving) -> Any:
    """Uvicorn's server, without its own signals and logs; its connections have deadlines."""
    uvicorn = require("uvicorn", "serve")
    protocol = require("uvicorn.protocols.http.httptools_impl", "serve").HttpToolsProtocol
    config = uvicorn.Config(
        app,
        http=lambda **options: Guarded(protocol(**options), serving.patience),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(serving.drain_s),
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server

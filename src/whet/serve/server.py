"""A server's life: open the models, listen, answer, stop; the shell around the application.

Stopping has four steps: say that nothing more is to be sent here, stop accepting, answer what is
there within a limit, free the engines.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from whet._optional import require
from whet.errors import OptionError
from whet.serve.gate import Gate
from whet.serve.grpc.server import At
from whet.serve.grpc.service import Service
from whet.serve.hosting.hosted import Hosting, host, need_name
from whet.serve.hosting.repository import Repository
from whet.serve.hosting.sources import Sources
from whet.serve.hosting.watching import watched
from whet.serve.http.app import App, Front
from whet.serve.http.guarded import Patience
from whet.serve.logs import EVENTS, log_to_stderr
from whet.serve.tls import Tls
from whet.serve.transports import Bind, Transport, listening_at, over_grpc, over_http
from whet.serve.wire.regions import Regions

__all__ = ["Serving", "Sockets", "lived", "serve"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Serving:
    """How models are served.

    Attributes:
        bind: where.
        grpc: where gRPC is spoken too; ``None`` for nowhere.
        admin: where models are changed and metrics shown, if not at ``bind``.
        tls: the certificate, for all of them but ``admin``, which only this machine can reach.
        front: how clients are met.
        hosting: how each model is served.
        patience: with slow connections.
        shared_memory: whether clients may leave tensors in shared memory.
        drain_s: for what is there when the server is told to stop.
        watch: whether a bundle is loaded again when a new one lies in its place.
        log_format: of what is said to standard error: ``"text"`` or ``"json"``.
    """

    bind: Bind = field(default_factory=Bind)
    grpc: At | None = None
    admin: Bind | None = None
    tls: Tls | None = None
    front: Front = field(default_factory=Front)
    hosting: Hosting = field(default_factory=Hosting)
    patience: Patience = field(default_factory=Patience)
    shared_memory: bool = False
    drain_s: float = 25.0
    watch: bool = False
    log_format: Literal["text", "json"] = "text"


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
        OptionError: two bundles have one name, or one can't be a name; a certificate is none.
    """
    if serving.tls is not None:
        serving.tls.context()  # tried before models are opened, which takes longer
    log_to_stderr(serving.log_format)
    repository, folders = Repository(), dict[str, Path]()
    for name, path in bundles:
        folders[_opened(path, name, serving.hosting, repository)] = Path(path)
    sources = Sources(folders, serving.hosting, repository, drain_s=serving.drain_s)
    sockets = Sockets(
        listening_at(serving.bind), listening_at(serving.admin) if serving.admin else None
    )
    loops = require("uvloop", "serve")
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(_until_a_signal(sources, serving, sockets, on_ready))


@dataclass(frozen=True)
class Sockets:
    """Those that listen for HTTP, taken before anything is promised."""

    clients: socket.socket
    admin: socket.socket | None = None


async def _until_a_signal(
    sources: Sources,
    serving: Serving,
    sockets: Sockets,
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
    return await lived(sources, serving, sockets, on_ready, ending)


def _opened(path: str | Path, name: str | None, hosting: Hosting, repository: Repository) -> str:
    hosted = host(path, hosting, name=name)
    need_name(hosted.name)
    if repository.versions(hosted.name):
        raise OptionError(
            f"Two bundles are named '{hosted.name}'.", "Name one of them: NAME=FOLDER."
        )
    repository.put(hosted)
    return hosted.name


async def lived(
    sources: Sources,
    serving: Serving,
    sockets: Sockets,
    on_ready: Callable[[str], None],
    ending: asyncio.Event,
) -> bool:
    """Answer until it is told to end; whether all that was there by then got its answer."""
    regions = Regions() if serving.shared_memory else None
    apps = _apps(sources, serving, regions)
    async with _up(apps, sources, serving, sockets, regions) as places:
        sources.repository.open = True
        on_ready(" and ".join(places))
        await _ended(ending, sources if serving.watch else None)
        EVENTS.info("stopping")
        sources.repository.open = False
    if serving.bind.uds is not None:
        serving.bind.uds.unlink(missing_ok=True)
    return await sources.close()


async def _ended(ending: asyncio.Event, watching: Sources | None) -> None:
    """Wait for the end, and until then for new bundles."""
    watch = asyncio.ensure_future(watched(watching)) if watching is not None else None
    try:
        await ending.wait()
    finally:
        if watch is not None:
            watch.cancel()


def _apps(sources: Sources, serving: Serving, regions: Regions | None) -> tuple[App, ...]:
    """One application for all; or one for clients, and one that may change what is served."""
    front, repository = serving.front, sources.repository
    if serving.admin is None:
        return (App(repository, front, sources, regions),)
    return (
        App(repository, replace(front, control=False, metrics=False), sources, regions),
        App(repository, replace(front, control=True), sources),
    )


@asynccontextmanager
async def _up(
    apps: tuple[App, ...],
    sources: Sources,
    serving: Serving,
    sockets: Sockets,
    regions: Regions | None,
) -> AsyncIterator[list[str]]:
    """All transports, which stop together; where they are."""
    front, drain_s = serving.front, serving.drain_s
    http = partial(over_http, patience=serving.patience, drain_s=drain_s)
    up: list[Transport] = []
    try:
        up.append(await http(apps[0], sockets.clients, tls=serving.tls))
        if serving.grpc is not None:
            service = Service(
                sources,
                name=front.name,
                limits=front.limits,
                control=front.control and serving.admin is None,
                regions=regions,
            )
            grpc = await over_grpc(
                service,
                serving.grpc,
                gate=Gate(front.keys),
                limits=front.limits,
                tls=serving.tls,
                drain_s=drain_s,
            )
            up.append(grpc)
        if sockets.admin is not None:
            admin = await http(apps[-1], sockets.admin, tls=None)
            up.append(replace(admin, where=f"{admin.where} (admin)"))
        yield [each.where for each in up]
    finally:
        await asyncio.gather(*(each.stop() for each in up))

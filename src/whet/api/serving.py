"""Serving as a verb: bundles as a service that real clients can talk to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from whet.api.telling import to_nobody
from whet.core.arguments import (
    count_of,
    flag_of,
    function_of,
    maybe,
    names_of,
    number_of,
    one_of,
    path_of,
    seconds_of,
    text_of,
    whole_of,
)
from whet.errors import OptionError
from whet.serve.grpc.server import At
from whet.serve.hosting.hosted import Hosting, need_name
from whet.serve.http.app import Front
from whet.serve.server import Serving
from whet.serve.server import serve as _serve
from whet.serve.tls import Tls
from whet.serve.transports import Bind

__all__ = ["serve"]

_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


def serve(
    bundles: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | Path | None = None,
    grpc_port: int | None = None,
    admin_port: int | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    deadline_ms: float | None = None,
    variants: Sequence[str] | None = None,
    most_rows: int = 32,
    workers: int = 1,
    isolated: bool = False,
    keys: Sequence[str] | None = None,
    server_name: str = "whet",
    model_control: bool = False,
    watch: bool = False,
    shared_memory: bool = False,
    drain_s: float = 25.0,
    access_log: bool = False,
    log_format: str = "text",
    trust_code: bool = False,
    on_ready: Callable[[str], None] | None = None,
) -> bool:
    """Serve bundles over the Open Inference Protocol until SIGTERM or SIGINT.

    Args:
        bundles: a folder, several, or folders by the names to be asked under.
        host: address to listen at; by default only this machine can reach it.
        port: 0 for any that is free.
        uds: path of a Unix socket to listen at in place of both.
        grpc_port: at which gRPC is spoken too; 0 for any that is free, none for no gRPC.
        admin_port: at which this machine alone may have models changed and sees metrics, in place
            of ``port``.
        tls_cert: file of the certificate, as PEM; with ``tls_key``, the file of its key.
        tls_key: see ``tls_cert``.
        deadline_ms: of requests that name none. With one, all variants that keep the quality floor
            are used: the most accurate that is in time. Without, the bundle's default answers.
        variants: to use, from the most accurate to the fastest.
        most_rows: of a batch that requests share; 1 for none.
        workers: batches that run at once.
        isolated: each worker is a process of its own, which is replaced when it dies or hangs; else
            they are threads, which answer a little faster.
        keys: of which each request has to bring one, as ``Authorization: Bearer KEY``.
        model_control: let clients have models loaded again from their folders, and unloaded.
        watch: load a bundle again when a new one lies in its place.
        shared_memory: let clients on this machine leave tensors in shared memory (the protocol's
            ``system_shared_memory``); they must run as the same user.
        server_name: as the server's metadata say it.
        drain_s: to answer what is there when the server is told to stop.
        access_log: write a line for each request.
        log_format: ``"text"``, or ``"json"`` for an object a line.
        trust_code: allow variants whose files run native code.
        on_ready: told where, once all models are ready.

    Returns:
        Whether all that was there when it was told to stop could be answered.

    Raises:
        BundleError: a bundle is refused, or answers otherwise here than where it was made.
        HostError: something isn't installed, or it can't listen there.
        OptionError: an argument of the wrong type; two bundles of one name.
    """
    within_ms = maybe(seconds_of, "deadline_ms", deadline_ms)
    address = text_of("host", host)
    serving = Serving(
        bind=Bind(address, _port("port", port), maybe(path_of, "uds", uds)),
        grpc=At(address, _port("grpc_port", grpc_port)) if grpc_port is not None else None,
        admin=Bind(port=_port("admin_port", admin_port)) if admin_port is not None else None,
        tls=_tls(maybe(path_of, "tls_cert", tls_cert), maybe(path_of, "tls_key", tls_key)),
        front=Front(
            name=text_of("server_name", server_name),
            keys=_keys(maybe(names_of, "keys", keys) or ()),
            control=flag_of("model_control", model_control),
            access_log=flag_of("access_log", access_log),
        ),
        hosting=Hosting(
            variants=maybe(names_of, "variants", variants) or (),
            deadline_s=within_ms / 1e3 if within_ms is not None else math.inf,
            most_rows=count_of("most_rows", most_rows),
            workers=count_of("workers", workers),
            isolated=flag_of("isolated", isolated),
            trust_code=flag_of("trust_code", trust_code),
        ),
        drain_s=number_of("drain_s", drain_s),
        watch=flag_of("watch", watch),
        shared_memory=flag_of("shared_memory", shared_memory),
        log_format=one_of("log_format", log_format, ("text", "json")),
    )
    if serving.shared_memory and uds is None and address not in _THIS_MACHINE:
        raise OptionError(
            f"Shared memory is for clients of this machine; {address} is heard by others too.",
            f"Listen at {' or '.join(_THIS_MACHINE)}, or at a Unix socket.",
        )
    say = function_of("on_ready", on_ready) if on_ready is not None else to_nobody
    return _serve(_named(bundles), serving, on_ready=say)


def _named(bundles: object) -> list[tuple[str | None, Path]]:
    if isinstance(bundles, Mapping):
        named = bundles.items()
        return [(need_name(text_of("bundles", k)), path_of("bundles", v)) for k, v in named]
    if isinstance(bundles, (str, Path)):
        return [(None, path_of("bundles", bundles))]
    if not isinstance(bundles, Sequence) or isinstance(bundles, bytes) or not bundles:
        raise OptionError(f"bundles={bundles!r} are none.", "Give a folder, or several.")
    return [(None, path_of("bundles", each)) for each in bundles]


def _port(name: str, value: object) -> int:
    port = whole_of(name, value)
    if not 0 <= port < 1 << 16:
        raise OptionError(f"{name}={port} is no port.", "Give one from 0 to 65535.")
    return port


def _keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    if not all(key.strip() for key in keys):
        raise OptionError("A key is empty, so everybody would have it.", "Leave it out.")
    return keys


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise OptionError("A certificate takes its key.", "Give both, tls_cert and tls_key.")
    return Tls(certificate, key)

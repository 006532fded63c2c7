"""gRPC's server: where it listens, what it takes, and how it stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from whet._optional import require
from whet.errors import HostError
from whet.serve.gate import Gate
from whet.serve.grpc.refusals import behind
from whet.serve.grpc.service import Service
from whet.serve.tls import Tls
from whet.serve.wire.limits import Limits

__all__ = ["At", "listening"]

_MOST_CALLS = 4096  # at once; more are refused before anything is read of them


@dataclass(frozen=True)
class At:
    """Where gRPC is spoken.

    Attributes:
        host: an address of this machine.
        port: 0 for any that is free.
    """

    host: str
    port: int


async def listening(
    service: Service, at: At, *, gate: Gate, limits: Limits, tls: Tls | None
) -> tuple[Any, int]:
    """Start a server; it, and the port that it has.

    Raises:
        HostError: it can't listen there.
        MissingExtraError: gRPC's packages aren't installed.
    """
    grpc = require("grpc", "speak gRPC")
    server = grpc.aio.server(
        interceptors=(behind(gate),),
        options=(
            ("grpc.max_receive_message_length", limits.body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", limits.header_bytes),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ),
        maximum_concurrent_rpcs=_MOST_CALLS,
    )
    server.add_generic_rpc_handlers(service.handlers())
    where = f"[{at.host}]:{at.port}" if ":" in at.host else f"{at.host}:{at.port}"
    try:
        if tls is None:
            port = server.add_insecure_port(where)
        else:
            credentials = grpc.ssl_server_credentials([(tls.key(), tls.certificate())])
            port = server.add_secure_port(where, credentials)
        await server.start()
    except RuntimeError as error:
        raise HostError(
            f"gRPC can't listen at {where}: {error}.", "Choose another --grpc-port."
        ) from error
    return server, port

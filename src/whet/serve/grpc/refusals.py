"""What a call gets instead of an answer; and the gate, which is in front of all that is read of it."""

from __future__ import annotations

import math
from typing import Any

from whet._optional import require
from whet.errors import BusyError, ServeError
from whet.serve.gate import Gate

__all__ = ["behind", "refused"]

_OPEN = frozenset(  # what probes ask without a key
    {
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
        "/grpc.health.v1.Health/Check",
    }
)
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


async def refused(context: Any, error: ServeError) -> Any:
    """End a call with an error's code and words."""
    grpc = require("grpc", "speak gRPC")
    code = getattr(grpc.StatusCode, _CODES.get(error.status, "INTERNAL"))
    trailing: tuple[tuple[str, str], ...] = ()
    if isinstance(error, BusyError):
        trailing = (("retry-after", str(max(1, math.ceil(error.retry_after_s)))),)
    return await context.abort(code, str(error), trailing)


def behind(gate: Gate) -> Any:
    """An interceptor that looks at the key before a message is read; no call has another way in."""
    grpc = require("grpc", "speak gRPC")
    interceptor: Any = grpc.aio.ServerInterceptor

    class Keys(interceptor):  # type: ignore[misc]
        async def intercept_service(self, continuation: Any, call: Any) -> Any:
            if call.method in _OPEN:
                return await continuation(call)
            given = dict(call.invocation_metadata or ())
            try:
                gate.check(
                    *(_bytes(given.get(name, "")) for name in ("authorization", "x-api-key"))
                )
            except ServeError as error:
                return _refusing(error)
            return await continuation(call)

    return Keys()


def _refusing(error: ServeError) -> Any:
    async def refuse(_: Any, context: Any) -> Any:
        return await refused(context, error)

    return require("grpc", "speak gRPC").unary_unary_rpc_method_handler(refuse)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()

"""Connections with deadlines: a sender or reader that is too slow loses its connection, nobody else's.

The server below has none of its own: a client that sends a byte a second would hold a connection for
ever, and so would one that never reads its answer. Each connection's protocol is wrapped here, and
everything is handed on to it. Bodies have a deadline of their own, in `exchange`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, final

__all__ = ["Guarded", "Patience"]


@dataclass(frozen=True)
class Patience:
    """How long a connection may keep us waiting.

    Attributes:
        head_s: for all lines before a body, from the first byte; and for that, from the connection.
        write_s: while a client doesn't read what is sent to it.
        head_bytes: of those lines.
        pipeline: requests that may wait on a connection for those before them.
    """

    head_s: float = 10.0
    write_s: float = 30.0
    head_bytes: int = 32 << 10
    pipeline: int = 32


@final
class Guarded(asyncio.Protocol):
    """A connection's protocol, with deadlines.

    Args:
        inner: that speaks HTTP; its ``cycle`` is the request that it is at, its ``pipeline`` holds
            those behind it.
        patience: how long is waited.
    """

    def __init__(self, inner: Any, patience: Patience) -> None:
        self._inner = inner
        self._patience = patience
        self._transport: asyncio.Transport | None = None
        self._head: asyncio.TimerHandle | None = None
        self._write: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; its first line has to come soon."""
        self._transport = transport  # type: ignore[assignment]
        self._inner.connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Hand bytes on; between requests they are lines, which have a deadline and a cap."""
        if self._between_requests():
            self._head_bytes += len(data)
            if self._head is None:
                self._await_head()
        self._inner.data_received(data)
        if len(self._inner.pipeline) > self._patience.pipeline:
            self._abort()
        if self._answered_early():
            if self._head is None:
                self._await_head()
        elif not self._between_requests():
            self._head_bytes = 0
            self._forget_head()
        elif self._head_bytes > self._patience.head_bytes:
            self._refuse(b"431 Request Header Fields Too Large")

    def eof_received(self) -> bool | None:
        """Hand on that no more comes; an answer may still be read."""
        handed: bool | None = self._inner.eof_received()
        return handed

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._forget_head()
        self._forget_write()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client doesn't read as fast as it is answered."""
        self._inner.pause_writing()
        loop = asyncio.get_running_loop()
        self._write = loop.call_later(self._patience.write_s, self._abort)

    def resume_writing(self) -> None:
        """It read on."""
        self._forget_write()
        self._inner.resume_writing()

    def _between_requests(self) -> bool:
        cycle = self._inner.cycle
        return cycle is None or bool(cycle.response_complete and not cycle.more_body)

    def _answered_early(self) -> bool:
        """Whether a request was answered before all of its body came; the rest is read for nothing."""
        cycle = self._inner.cycle
        return cycle is not None and bool(cycle.response_complete and cycle.more_body)

    def _await_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._head = loop.call_later(self._patience.head_s, self._late)

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _forget_write(self) -> None:
        if self._write is not None:
            self._write.cancel()
            self._write = None

    def _late(self) -> None:
        self._head = None
        if self._answered_early():
            self._abort()
        elif self._between_requests():
            self._refuse(b"408 Request Timeout")

    def _refuse(self, status: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            said = b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
            self._transport.write(said)
            self._transport.close()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

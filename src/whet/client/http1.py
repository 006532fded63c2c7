"""HTTP/1.1 as a client speaks it, without sockets: bytes of a request, and an answer out of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from whet._optional import require

__all__ = ["Broken", "Ended", "Reading", "head_of"]

Part = bytes | memoryview


@dataclass(frozen=True)
class Ended:
    """An answer, as a whole.

    Attributes:
        status: of HTTP.
        headers: by lower-case name.
        body: of it.
        lasts: whether the connection may be asked again.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    lasts: bool


class Broken(Exception):  # noqa: N818 (it becomes an error where it is known what was asked)
    """What came is no HTTP, or it broke off.

    Attributes:
        begun: whether something of an answer had come.
    """

    def __init__(self, words: str, *, begun: bool) -> None:
        super().__init__(words)
        self.begun = begun


def head_of(
    method: str, path: str, authority: str, headers: Mapping[str, str], body: Sequence[Part]
) -> bytes:
    """The lines before a body."""
    size = sum(len(part) for part in body)
    lines = [f"{method} {path} HTTP/1.1", f"host: {authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if size or method != "GET":
        lines.append(f"content-length: {size}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@final
class Reading:
    """One answer, as its bytes come."""

    def __init__(self) -> None:
        self.ended: Ended | None = None
        self.begun = False
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._parser: Any = require("httptools", "ask a server").HttpResponseParser(self)

    def feed(self, data: Part) -> None:
        """More bytes.

        Raises:
            Broken: they are no HTTP.
        """
        self.begun = True
        try:
            self._parser.feed_data(data)
        except require("httptools", "ask a server").HttpParserError as error:
            raise Broken("It doesn't answer in HTTP.", begun=True) from error

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        status = self._parser.get_status_code()
        self.ended = Ended(status, self._headers, body, self._parser.should_keep_alive())

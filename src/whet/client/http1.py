"""HTTP/1.1 as a client speaks it, without sockets: bytes of a request, and an answer out of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, final

from whet._optional import require
from whet.errors import OptionError

__all__ = ["Broken", "Ended", "Part", "Reading", "Stale", "head_of"]

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


class Stale(Exception):  # noqa: N818 (nobody hears of it: another connection is taken)
    """A connection that was kept had ended before anything of an answer came."""


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
    """The lines before a body.

    Raises:
        OptionError: something would break a line, or can't stand in one.
    """
    size = sum(len(part) for part in body)
    lines = [f"{method} {path} HTTP/1.1", f"host: {authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if size or method != "GET":
        lines.append(f"content-length: {size}")
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise OptionError(
            "A key, a path or a header holds what no line of a request may hold.",
            "Give printable ASCII, in one line.",
        )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


@cache
def _httptools() -> tuple[tuple[type[Exception], ...], Any]:
    """What its parser raises, and the parser."""
    found = require("httptools", "ask a server")
    return (found.HttpParserError, found.HttpParserUpgrade), found.HttpResponseParser


@final
class Reading:
    """One answer, as its bytes come.

    Attributes:
        ended: the answer, once it is whole.
        begun: whether something of it has come.
    """

    def __init__(self) -> None:
        self.ended: Ended | None = None
        self.begun = False
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._heads = False
        self._errors, parser = _httptools()
        self._parser = parser(self)

    def feed(self, data: Part) -> None:
        """More bytes; what comes behind the answer belongs to nobody, so it is the connection's last.

        Raises:
            Broken: they are no HTTP.
        """
        self.begun = True
        try:
            self._parser.feed_data(data)
        except self._errors as error:
            if self.ended is not None:
                self.ended = replace(self.ended, lasts=False)
                return
            raise Broken("it doesn't answer in HTTP", begun=True) from error

    def closed(self) -> Ended:
        """No more bytes come; an answer of no said length ends so.

        Raises:
            Broken: it broke off.
        """
        said = {b"content-length", b"transfer-encoding"} & self._headers.keys()
        if self._heads and not said and self.ended is None:
            self.ended = self._answer(lasts=False)
        if self.ended is None:
            raise Broken("it broke the connection off", begun=self.begun)
        return self.ended

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self.ended is not None:
            self.ended = replace(self.ended, lasts=False)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        if self.ended is None:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._heads = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        if self.ended is None:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser; the first answer is ours, and 1xx are none."""
        if self.ended is not None:
            return
        if self._parser.get_status_code() < 200:
            self._headers.clear()
            self._chunks.clear()
            return
        self.ended = self._answer(lasts=self._parser.should_keep_alive())

    def _answer(self, *, lasts: bool) -> Ended:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        return Ended(self._parser.get_status_code(), self._headers, body, lasts)

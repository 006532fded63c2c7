"""Both clients against a server that does as it is told: what is asked again, and over which connection."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import whet
from whet.client.retries import Retries
from whet.errors import (
    BusyError,
    LateError,
    RequestError,
    ServeError,
    UnknownModelError,
    UnreachableError,
)

SOON = Retries(first_s=0.001, most_s=0.001)
SMALL = {"x": np.ones(4, np.float32)}
LARGE = {"x": np.ones(1 << 20, np.float32)}


def answer(status: int = 200, body: bytes = b'{"outputs": []}', *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


CLOSE = b"close"
EARLY = b"early"


class Told:
    """A server that answers connection by connection as it is told.

    Args:
        script: of each connection, what it says to one request after another; `CLOSE` ends it, and
            what is behind `EARLY` is said before the body was read.
    """

    def __init__(self, *script: Sequence[bytes]) -> None:
        self._script = list(script)
        self.requests = 0
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        for sayings in self._script:
            try:
                own, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with own:
                own.settimeout(5)
                for saying in sayings:
                    if saying == CLOSE:
                        break
                    early = saying.startswith(EARLY)
                    if not self._asked(own, whole=not early):
                        break
                    self.requests += 1
                    own.sendall(saying.removeprefix(EARLY))

    @staticmethod
    def _asked(own: socket.socket, *, whole: bool) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            more = own.recv(1 << 16)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = [line for line in head.split(b"\r\n") if line.startswith(b"content-length")]
        left = int(length[0].split(b":")[1]) - len(body) if length else 0
        while whole and left > 0:
            left -= len(own.recv(1 << 16))
        return True

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def told() -> Iterator[Callable[..., Told]]:
    servers: list[Told] = []

    def make(*script: Sequence[bytes]) -> Told:
        servers.append(Told(*script))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def blocking(url: str, calls: Sequence[Any], **options: Any) -> list[Any]:
    """What a client gets for each call: an answer, or the error."""
    found: list[Any] = []
    with whet.Client(url, **{"retries": SOON, **options}) as client:
        for inputs in calls:
            try:
                found.append(client.infer("m", inputs))
            except ServeError as error:
                found.append(error)
    return found


def waiting(url: str, calls: Sequence[Any], **options: Any) -> list[Any]:
    async def go() -> list[Any]:
        found: list[Any] = []
        async with whet.AsyncClient(url, **{"retries": SOON, **options}) as client:
            for inputs in calls:
                try:
                    found.append(await client.infer("m", inputs))
                except ServeError as error:
                    found.append(error)
        return found

    return asyncio.run(go())


pytestmark = pytest.mark.parametrize("ask", [blocking, waiting])
Ask = Callable[..., list[Any]]


def kinds(found: list[Any]) -> list[str]:
    return [type(each).__name__ for each in found]


def test_connections_are_kept(ask: Ask, told: Callable[..., Told]) -> None:
    server = told([answer()] * 3)
    assert kinds(ask(server.url, [SMALL] * 3)) == ["Inference"] * 3
    assert (server.connections, server.requests) == (1, 3)


def test_one_that_is_busy_is_asked_again(ask: Ask, told: Callable[..., Told]) -> None:
    server = told([answer(503), answer(503), answer()])
    assert kinds(ask(server.url, [SMALL])) == ["Inference"]
    assert server.requests == 3


def test_not_for_ever(ask: Ask, told: Callable[..., Told]) -> None:
    server = told([answer(503)] * 5)
    assert kinds(ask(server.url, [SMALL])) == [BusyError.__name__]
    assert server.requests == 3


def test_no_later_than_an_answer_is_of_use(ask: Ask, told: Callable[..., Told]) -> None:
    server = told([answer(503, b"{}", "retry-after: 5")] * 2)
    began_s = time.monotonic()
    assert kinds(ask(server.url, [SMALL], timeout_s=1.0)) == [BusyError.__name__]
    assert time.monotonic() - began_s < 0.9, "known at once"
    assert server.requests == 1


def test_one_that_closed_meanwhile_is_left_for_another(ask: Ask, told: Callable[..., Told]) -> None:
    server = told([answer(), CLOSE], [answer()])
    assert kinds(ask(server.url, [SMALL] * 2)) == ["Inference"] * 2
    assert server.connections == 2


@pytest.mark.parametrize("cut", [answer()[:-3], b"HTTP/1.1 200 OK\r\n", b""])
def test_an_answer_that_breaks_off_is_asked_for_again(
    ask: Ask, told: Callable[..., Told], cut: bytes
) -> None:
    server = told([cut, CLOSE], [answer()])
    assert kinds(ask(server.url, [SMALL])) == ["Inference"]
    assert kinds(ask(told([cut, CLOSE]).url, [SMALL], retries=Retries(most=0))) == [
        UnreachableError.__name__
    ]


def test_a_refusal_before_the_body_was_read_is_heard_and_ends_the_connection(
    ask: Ask, told: Callable[..., Told]
) -> None:
    refused = EARLY + answer(413, b'{"error": "too large"}')
    server = told([refused, CLOSE], [answer()])
    found = ask(server.url, [LARGE, SMALL])
    assert kinds(found) == [RequestError.__name__, "Inference"]
    assert found[0].status == 413
    assert server.connections == 2


def test_what_comes_behind_an_answer_is_nobodys(ask: Ask, told: Callable[..., Told]) -> None:
    both = answer(404, b'{"error": "unknown"}') + answer(431, b"")
    server = told([both], [answer()])
    assert kinds(ask(server.url, [SMALL] * 2)) == [UnknownModelError.__name__, "Inference"]
    assert server.connections == 2


def test_a_server_that_says_nothing_isnt_waited_for(ask: Ask, told: Callable[..., Told]) -> None:
    began_s = time.monotonic()
    server = told([b"", answer()])
    assert kinds(ask(server.url, [SMALL], timeout_s=0.3)) == [LateError.__name__]
    assert time.monotonic() - began_s < 2


def test_another_protocol_is_no_answer(ask: Ask, told: Callable[..., Told]) -> None:
    found = ask(told([b"SSH-2.0-x\r\n"]).url, [SMALL], retries=Retries(most=0))
    assert kinds(found) == [UnreachableError.__name__]
    assert found[0].remedy

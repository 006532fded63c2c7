"""Clients that are slow, broken or gone, on real sockets: each loses its own connection, no more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whet.serve.hosting.repository import Repository
from whet.serve.hosting.sources import Sources
from whet.serve.http.app import Front
from whet.serve.http.guarded import Patience
from whet.serve.server import Serving, Sockets, lived
from whet.serve.transports import Bind, listening_at
from whet.serve.wire.limits import Limits

PATIENCE = Patience(head_s=0.4, write_s=0.4, head_bytes=2000)
ASK = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server without models, in a thread; what is attacked stands before them."""
    serving = Serving(
        bind=Bind(port=0),
        front=Front(receive_s=0.4, limits=Limits(body_bytes=100_000)),
        patience=PATIENCE,
        drain_s=1,
    )
    repository = Repository()
    sources = Sources({}, serving.hosting, repository, drain_s=1)
    listening = listening_at(serving.bind)
    # What the kernel would keep for a client that doesn't read takes long to fill.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    stop = threading.Event()
    ready = threading.Event()

    async def live() -> None:
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait() -> None:
            stop.wait()
            loop.call_soon_threadsafe(ending.set)

        threading.Thread(target=wait, daemon=True).start()
        sockets = Sockets(listening)
        await lived(sources, serving, sockets, lambda _: ready.set(), ending)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert ready.wait(20)
    yield int(listening.getsockname()[1])
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def connected(port: int) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port), timeout=10)
    found.settimeout(10)
    return found


def all_of(own: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := own.recv(65536):
            parts.append(part)
    return b"".join(parts)


def is_well(port: int) -> bool:
    with connected(port) as own:
        own.sendall(ASK)
        return own.recv(100).startswith(b"HTTP/1.1 200")


def test_who_says_nothing_is_let_go(port: int) -> None:
    with connected(port) as own:
        began = time.monotonic()
        assert all_of(own).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 5


def test_a_byte_at_a_time_does_not_hold_a_connection(port: int) -> None:
    with connected(port) as own:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for byte in ASK * 20:
                own.sendall(bytes([byte]))
                time.sleep(0.05)
                if time.monotonic() - began > 5:
                    pytest.fail("The connection is still there.")
        assert time.monotonic() - began < 5
    assert is_well(port)


def test_a_body_at_a_byte_at_a_time_is_given_up(port: int) -> None:
    with connected(port) as own:
        own.sendall(b"POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n")
        assert own.recv(65536).startswith(b"HTTP/1.1 404")  # no such model: none is waited for
    assert is_well(port)


def test_endless_lines_are_cut_off(port: int) -> None:
    with connected(port) as own:
        with contextlib.suppress(ConnectionError):
            own.sendall(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 2000)
        assert b"HTTP/1.1 431" in all_of(own)
    assert is_well(port)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nxyz",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused(port: int, sent: bytes) -> None:
    with connected(port) as own:
        own.sendall(sent)
        answer = all_of(own)
        assert b" 2" not in answer[:12]
    assert is_well(port)


def test_who_leaves_at_any_byte_harms_nobody(port: int) -> None:
    whole = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabcde"
    for cut in range(0, len(whole), 3):
        own = connected(port)
        own.sendall(whole[:cut])
        if cut % 2:  # a reset instead of a farewell
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        own.close()
    assert is_well(port)


def test_many_idle_connections_do_not_keep_others_out(port: int) -> None:
    idle = [connected(port) for _ in range(300)]
    began = time.monotonic()
    assert is_well(port)
    assert time.monotonic() - began < 2
    for own in idle:
        own.close()


def test_a_closed_half_is_a_farewell_and_is_answered_with_one(port: int) -> None:
    with connected(port) as own:
        own.sendall(ASK[:20])
        own.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        assert all_of(own) == b""
        assert time.monotonic() - began < 0.3  # before any deadline
    assert is_well(port)


def test_who_asks_much_and_reads_nothing_is_cut_off(port: int) -> None:
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        own.connect(("127.0.0.1", port))
        own.settimeout(10)
        with contextlib.suppress(ConnectionError):  # and no timeout: it is the server that ends it
            for _ in range(20_000):
                own.sendall(ASK)
                time.sleep(0.0005)
            pytest.fail("The connection is still there.")
    assert is_well(port)


def test_who_asks_much_at_once_is_cut_off(port: int) -> None:
    """Requests that wait for those before them on a connection would take memory without a bound."""
    with connected(port) as own:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 10:
                own.sendall(ASK * 1000)
            pytest.fail("The connection is still there.")
    assert is_well(port)


def test_a_few_requests_at_once_are_answered_in_order(port: int) -> None:
    with connected(port) as own:
        own.sendall(ASK * 9 + ASK.replace(b"host: x", b"connection: close"))
        assert all_of(own).count(b"HTTP/1.1 200") == 10


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_break_it(port: int, sent: bytes) -> None:
    with connected(port) as own, contextlib.suppress(ConnectionError):
        own.sendall(sent)
        own.shutdown(socket.SHUT_WR)
    assert is_well(port)


def test_files_are_closed(port: int) -> None:
    """After all of these the server holds no more open than before a quiet second."""
    here = Path(f"/proc/{os.getpid()}/fd")
    deadline = time.monotonic() + 5
    before = len(list(here.iterdir()))
    for _ in range(50):
        connected(port).close()
    assert is_well(port)  # those before it were accepted by then, and are not closed below us
    while len(list(here.iterdir())) > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(list(here.iterdir())) <= before

"""A client for programs with threads: each call waits for its answer."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from whet.client import calls
from whet.client.calls import Call, Inputs
from whet.client.ends import may_be_asked_again, not_understood, says_not_ready, unreachable
from whet.client.http1 import Broken, Ended, Part, Reading, Stale
from whet.client.manner import Manner
from whet.client.messages import Inference, answer_of, need_answer, plain_of
from whet.client.place import Place
from whet.client.retries import Retries
from whet.errors import LateError, ServeError, UnreachableError

__all__ = ["Client"]

_READ_BYTES = 1 << 18


@final
class Client:
    """Asks a server over connections that are kept open; several threads may use it.

    Args:
        url: ``http://host:port``, ``https://...`` or ``unix:/path``.
        key: that the server asks for.
        timeout_s: of a call, with all its retries.
        retries: how a call is tried again that the server refused or never answered.
        ca_file: certificates that the server's own is signed by; those of this machine if left out.

    Raises:
        OptionError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
        ca_file: str | Path | None = None,
    ) -> None:
        self._manner = Manner(url, key=key, timeout_s=timeout_s, retries=retries, ca_file=ca_file)
        self._lock = threading.Lock()
        self._closed = False
        self._idle: list[_Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def infer(
        self,
        model: str,
        inputs: Inputs,
        *,
        version: str = "",
        outputs: Sequence[str] = (),
        timeout_ms: float | None = None,
        priority: int | None = None,
        id: str = "",  # noqa: A002 (the protocol's word)
    ) -> Inference:
        """Ask a model.

        Args:
            model: by name.
            inputs: arrays, a row for each sample; or pictures as bytes or texts, in a list.
            version: of the model; the one that answers if left out.
            outputs: that are wanted; none for all.
            timeout_ms: within which the server shall answer; it refuses what would come later.
            priority: 1 is the highest.
            id: that the answer shall have.

        Raises:
            RequestError: the server can't use it.
            UnknownModelError: there is no such model.
            BusyError: there is no room for it, now and after all retries.
            LateError: it took too long.
            UnreachableError: there is no server, or it broke off.
        """
        call = calls.infer(
            model,
            inputs,
            version=version,
            outputs=outputs,
            timeout_ms=timeout_ms,
            priority=priority,
            id=id,
        )
        return answer_of(self._asked(call))

    def metadata(self, model: str = "") -> Any:
        """What a model takes and gives; without a name, what the server is."""
        return plain_of(self._asked(calls.metadata(model)))

    def statistics(self, model: str = "") -> Any:
        """What a model did, or all."""
        return plain_of(self._asked(calls.statistics(model)))["model_stats"]

    def ready(self, model: str = "") -> bool:
        """Whether a model, or the server, answers."""
        try:
            self._asked(calls.ready(model))
        except ServeError as error:
            return says_not_ready(error)
        return True

    def models(self) -> Any:
        """All models that the server knows, and their states."""
        return plain_of(self._asked(calls.repository("", "")))

    def load(self, model: str) -> None:
        """Have a model loaded again; what answered goes on until then."""
        self._asked(calls.repository(model, "load"))

    def unload(self, model: str) -> None:
        """Have a model answer no more."""
        self._asked(calls.repository(model, "unload"))

    def _asked(self, call: Call) -> Ended:
        now_s = time.monotonic()
        end_s = now_s + self._manner.timeout_s
        with self._lock:
            last_s = self._manner.begin(call, now_s)
        tried = 0
        while True:
            tried += 1
            try:
                ended = self._once(call, end_s)
                need_answer(ended)
            except ServeError as error:
                with self._lock:
                    left_s = last_s - time.monotonic()
                    wait_s = self._manner.again_after_s(error, call, tried, left_s)
                if wait_s is None:
                    raise
            else:
                return ended
            time.sleep(wait_s)

    def _once(self, call: Call, end_s: float) -> Ended:
        """Ask over a connection that was kept, or a new one; keep it if it can be asked again."""
        parts = self._manner.written(call)
        while True:
            connection = self._kept() if call.again else None
            if connection is None:
                connection = _Connection(self._manner.place, end_s)
            try:
                ended = connection.ask(parts, end_s)
            except Stale:
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            self._keep(connection, ended, parts)
            return ended

    def _kept(self) -> _Connection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: _Connection, ended: Ended, parts: Sequence[Part]) -> None:
        with self._lock:
            kept = may_be_asked_again(ended, parts) and not self._closed
            if kept:
                self._idle.append(connection)
        if not kept:
            connection.close()


class _Connection:
    """A socket to the server."""

    def __init__(self, place: Place, end_s: float) -> None:
        self._place = place
        self._answered = False
        try:
            self._socket = _connected(place, _left_s(end_s))
        except OSError as error:
            raise _unreachable(place, error) from error
        self._buffer = bytearray(_READ_BYTES)

    def ask(self, parts: Sequence[Part], end_s: float) -> Ended:
        """Send a request and wait for its answer.

        Raises:
            Stale: the server had closed it before.
        """
        reading = Reading()
        try:
            self._send(parts, end_s, reading)
            while reading.ended is None:
                self._read(end_s, reading)
        except TimeoutError as error:
            raise LateError("The server didn't answer in time.", "Allow more time.") from error
        except (Broken, OSError) as error:
            if self._answered and not reading.begun:
                raise Stale from error
            if isinstance(error, Broken):
                raise not_understood(self._place, error) from error
            raise _unreachable(self._place, error) from error
        self._answered = True
        return reading.ended

    def _send(self, parts: Sequence[Part], end_s: float, reading: Reading) -> None:
        """All parts, small ones together; an end to it before they were all sent may be an answer."""
        together = sum(len(part) for part in parts) <= _READ_BYTES
        try:
            for part in [b"".join(parts)] if together else parts:
                self._socket.settimeout(_left_s(end_s))
                self._socket.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            self._read(end_s, reading)

    def _read(self, end_s: float, reading: Reading) -> None:
        self._socket.settimeout(_left_s(end_s))
        view = memoryview(self._buffer)
        size = self._socket.recv_into(view)
        if size:
            reading.feed(view[:size])
        else:
            reading.closed()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def _connected(place: Place, left_s: float) -> socket.socket:
    if place.uds is not None:
        plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        plain = socket.create_connection((place.host, place.port), timeout=left_s)
    try:
        if place.uds is not None:
            plain.settimeout(left_s)
            plain.connect(place.uds)
            return plain
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = place.tls
        return plain if tls is None else tls.wrap_socket(plain, server_hostname=place.host)
    except BaseException:
        plain.close()
        raise


def _left_s(end_s: float) -> float:
    left_s = end_s - time.monotonic()
    if left_s <= 0:
        raise LateError("The server didn't answer in time.", "Allow more time.")
    return left_s


def _unreachable(place: Place, error: OSError) -> UnreachableError:
    if isinstance(error, TimeoutError):
        return UnreachableError(f"{place} doesn't answer.", "Is a server there?")
    return unreachable(place, error)

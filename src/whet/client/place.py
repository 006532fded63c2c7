"""Where a server is, from a URL."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from whet.errors import OptionError

__all__ = ["Place", "place_of"]

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Place:
    """A server's place.

    Attributes:
        host: by name or number; what stands in the ``Host`` header.
        port: of it.
        uds: path of a Unix socket, in place of both.
        tls: how its certificate is checked; ``None`` for plain connections.
        prefix: of all its paths.
    """

    host: str = "localhost"
    port: int = 80
    uds: str | None = None
    tls: ssl.SSLContext | None = None
    prefix: str = ""

    @property
    def authority(self) -> str:
        """As the ``Host`` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.uds is not None:
            return f"unix:{self.uds}"
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"


def place_of(url: str, ca_file: str | Path | None = None) -> Place:
    """A place, from ``http://host:port``, ``https://...``, ``unix:/path`` or ``host:port``.

    Args:
        url: of the server.
        ca_file: certificates that its own is signed by; those of this machine if left out.

    Raises:
        OptionError: it is none.
    """
    if url.startswith("unix:"):
        if ca_file is not None:
            raise OptionError(f"{url} shows no certificate to check.", "Leave ca_file out.")
        return Place(uds=url.removeprefix("unix:").removeprefix("//"))
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise _wrong(url) from error
    odd = parts.query or parts.fragment or parts.username or parts.password
    if parts.scheme not in _PORTS or not parts.hostname or odd:
        raise _wrong(url)
    if ca_file is not None and parts.scheme != "https":
        raise OptionError(f"{url} shows no certificate to check.", "Leave the certificates out.")
    tls = None
    if parts.scheme == "https":
        try:
            tls = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except OSError as error:
            raise OptionError(f"{ca_file} holds no certificates: {error}.", "Give PEM.") from error
    return Place(
        host=parts.hostname,
        port=port if port is not None else _PORTS[parts.scheme],
        tls=tls,
        prefix=parts.path.rstrip("/"),
    )


def _wrong(url: str) -> OptionError:
    return OptionError(f"'{url}' is no server's URL.", "Write http://host:port or unix:/path.")

"""Certificates: both transports take the same, and nothing older than TLS 1.2."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from whet.errors import OptionError

__all__ = ["Tls"]


@dataclass(frozen=True)
class Tls:
    """A server's own certificate.

    Attributes:
        certificate_file: with those that signed it, as PEM.
        key_file: the private key, as PEM, without a password.
    """

    certificate_file: Path
    key_file: Path

    def context(self) -> ssl.SSLContext:
        """For Python's own sockets.

        Raises:
            OptionError: a file can't be used.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # Asked for a password it would wait at the terminal.
            context.load_cert_chain(self.certificate_file, self.key_file, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise OptionError(
                f"{self.certificate_file} and {self.key_file} are no certificate with its key:"
                f" {error}.",
                "Give both as PEM, the key without a password.",
            ) from error
        return context

    def certificate(self) -> bytes:
        """As PEM."""
        return self.certificate_file.read_bytes()

    def key(self) -> bytes:
        """As PEM."""
        return self.key_file.read_bytes()


def _no_password() -> str:
    raise ValueError("the key is encrypted")

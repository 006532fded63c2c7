"""What a server and its worker processes say to each other; nothing is ever pickled.

Each message is one packet of JSON on a socket that no one else can reach. Tensors lie in memory that
both have mapped; messages only say where.
"""

from __future__ import annotations

import msgspec

from whet.measure.protocol import Failed

__all__ = [
    "Answered",
    "Ask",
    "Command",
    "Open",
    "Opened",
    "Ping",
    "Pong",
    "Reply",
    "Tensor",
]


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An array in the shared memory, ``at`` bytes from its beginning."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    at: int


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Closed and immutable; the class's name is its tag."""


class Open(_Message, frozen=True):
    """Open variants of a bundle, on some cores; only the bundle of that digest."""

    bundle: str
    digest: str
    variants: tuple[str, ...]
    cores: tuple[int, ...]
    trust_code: bool


class Opened(_Message, frozen=True):
    """Open, warm and replayed; a row of the slowest answer to recorded inputs took so long."""

    row_s: float


class Ask(_Message, frozen=True):
    """Run a variant, by its place; ``free`` is where outputs may be written from."""

    variant: int
    tensors: tuple[Tensor, ...]
    free: int


class Answered(_Message, frozen=True):
    """Run; the outputs are in the shared memory."""

    tensors: tuple[Tensor, ...]


class Ping(_Message, frozen=True):
    """Is somebody there?"""


class Pong(_Message, frozen=True):
    """Somebody is there."""


Command = Open | Ask | Ping
Reply = Opened | Answered | Pong | Failed

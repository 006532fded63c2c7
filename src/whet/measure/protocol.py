"""What the process that measures and its parent say to each other.

Each message is one line of JSON. A reply may name frames; their raw bytes, little- or big-endian
as the machine is, follow the line at once. Nothing is ever pickled. Both
sides run the same files, so there is no version in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import LayerTime
from whet.core.spec import Arrays
from whet.data.layout import StoreRef
from whet.errors import MeasurementError
from whet.measure.contender import Contender

__all__ = [
    "Answer",
    "Answered",
    "Command",
    "Failed",
    "Frame",
    "InOrder",
    "Incoming",
    "Layered",
    "Layers",
    "Leaving",
    "Left",
    "Measure",
    "Memory",
    "Open",
    "Opened",
    "Outputs",
    "Reply",
    "Size",
    "Timed",
    "Warm",
    "WarmUp",
    "Written",
    "encode_reply",
    "frames_of",
]

_LARGEST_FRAMES = 1 << 31


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag=True):
    """Closed and immutable; the class's name is its tag."""


class Open(_Message, frozen=True):
    """Pin, limit, compile where there is no engine, and open.

    Attributes:
        scratch: folder for what is compiled here; the parent removes it.
        data_limit_bytes: backstop for the parent's own watch over memory.
    """

    contender: Contender
    feed: StoreRef
    batch: int
    concurrency: int
    scratch: str
    cores: tuple[int, ...] | None
    data_limit_bytes: int | None


class WarmUp(_Message, frozen=True):
    """Run until the latency has settled, within these limits."""

    seconds: float
    queries: int


class Measure(_Message, frozen=True):
    """Time so many queries, or as many as fit into ``seconds`` (at least one)."""

    queries: int
    seed: int
    seconds: float | None


class Outputs(_Message, frozen=True):
    """Answer every row of a store and write one array per output."""

    feed: StoreRef
    where: str
    batch: int


class InOrder(_Message, frozen=True):
    """Time the queries that rows of a store from ``first`` on make, once each and in their order."""

    feed: StoreRef
    first: int
    queries: int


class Leaving(_Message, frozen=True):
    """Tell where rows left, if the contender is a cascade."""


class Answer(_Message, frozen=True):
    """Answer the first batch and send it back."""


class Size(_Message, frozen=True):
    """Tell the process's memory."""


class Layers(_Message, frozen=True):
    """Profile layer by layer."""


class Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Raw bytes of one array that follow a reply."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return int(np.dtype(self.dtype).itemsize) * math.prod(self.shape)


class Opened(_Message, frozen=True):
    """Open: how long it took, and how long compiling before it did (0 = was compiled)."""

    load_ms: float
    compile_ms: float


class Warm(_Message, frozen=True):
    """Warm: or not, where ``settled`` is false and a limit came first."""

    queries: int
    seconds: float
    settled: bool


class Timed(_Message, frozen=True):
    """Timed: the frame ``ms`` holds float64 milliseconds, one per query."""

    wall_s: float
    frames: tuple[Frame, ...]


class Written(_Message, frozen=True):
    """Outputs written: names of the arrays in the order of their files."""

    names: tuple[str, ...]


class Answered(_Message, frozen=True):
    """One answer, a frame per output."""

    frames: tuple[Frame, ...]


class Left(_Message, frozen=True):
    """Rows that left at each stage of a cascade since it was opened; empty of anything else."""

    rows: tuple[int, ...]


class Memory(_Message, frozen=True):
    """Resident memory now and at its peak."""

    resident_bytes: int
    peak_bytes: int


class Layered(_Message, frozen=True):
    """The profile."""

    layers: tuple[LayerTime, ...]


class Failed(_Message, frozen=True):
    """An error: the name of its class in `whet.errors`, its sentence and its remedy."""

    error: str
    message: str
    remedy: str


Command = Open | WarmUp | Measure | InOrder | Outputs | Answer | Leaving | Size | Layers
Reply = Opened | Warm | Timed | Written | Answered | Left | Memory | Layered | Failed


def encode_reply(reply: Reply, arrays: Mapping[str, NDArray[np.generic]] | None = None) -> bytes:
    """The bytes of a reply; ``arrays`` must agree with its frames."""
    parts = [msgspec.json.encode(reply), b"\n"]
    parts += [np.ascontiguousarray(array).tobytes() for array in (arrays or {}).values()]
    return b"".join(parts)


def frames_of(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[Frame, ...]:
    """Frames that describe arrays, in their order."""
    return tuple(Frame(name, array.dtype.str, array.shape) for name, array in arrays.items())


class Incoming:
    """Bytes from a pipe, put together to replies. Knows no clock and no pipe."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._reply: Reply | None = None

    def add(self, data: bytes) -> tuple[Reply, Arrays] | None:
        """Take more bytes; the reply and its arrays once they are complete.

        Raises:
            MeasurementError: the bytes are no reply.
        """
        self._buffer += data
        if self._reply is None:
            end = self._buffer.find(b"\n")
            if end < 0:
                return None
            self._reply = self._decode(bytes(self._buffer[:end]))
            del self._buffer[: end + 1]
        reply = self._reply
        frames = reply.frames if isinstance(reply, Timed | Answered) else ()
        if len(self._buffer) < sum(frame.size_bytes for frame in frames):
            return None
        arrays: Arrays = {}
        for frame in frames:
            raw = bytes(self._buffer[: frame.size_bytes])
            del self._buffer[: frame.size_bytes]
            arrays[frame.name] = np.frombuffer(raw, np.dtype(frame.dtype)).reshape(frame.shape)
        self._reply = None
        return reply, arrays

    def _decode(self, line: bytes) -> Reply:
        try:
            reply: Reply = msgspec.json.decode(line, type=Reply)
            _check(reply.frames if isinstance(reply, Timed | Answered) else ())
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            raise MeasurementError(
                f"The measuring process sent what is no reply: {error}.",
                "Report this with the network, if you can share it.",
            ) from error
        return reply


def _check(frames: tuple[Frame, ...]) -> None:
    for frame in frames:
        if np.dtype(frame.dtype).hasobject or min(frame.shape, default=0) < 0:
            raise ValueError(f"a frame of {frame.dtype}{frame.shape}")
    if sum(frame.size_bytes for frame in frames) > _LARGEST_FRAMES:
        raise ValueError("frames of more than 2 GiB")

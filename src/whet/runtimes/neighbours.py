"""Settings next to those that did well: one field changed at a time, the most promising first.

`settings_space` says where to begin. Once something is good, what is worth trying
lies beside its own settings, not beside those that the search began with: cheap
arithmetic wants fewer threads, a graph in int8 gains little from bf16.

Every field that a runtime honours is reached from here, apart from sizes that are
rounded up (`whet.search.ladder.lengths`). Those that seldom pay stand last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from whet.core.settings import GraphLevel, Layout, Precision, Settings
from whet.errors import OptionError
from whet.runtimes.axes import Axes
from whet.runtimes.settings_space import precisions, thread_counts

__all__ = ["neighbours"]


@dataclass(frozen=True)
class _Room:
    """What bounds the settings: the axes, and the half precisions that may be used."""

    axes: Axes
    half: tuple[Precision, ...]


def neighbours(runtime: str, own: Settings, axes: Axes, *, lossless: bool) -> tuple[Settings, ...]:
    """Settings that differ from ``own`` in one respect; ``own`` itself is not among them.

    Args:
        runtime: registered name.
        own: of a candidate that did well.
        axes: of this machine.
        lossless: leave out precisions that change answers.

    Raises:
        OptionError: an unknown runtime.
    """
    if runtime not in _MOVES:
        raise OptionError(
            f"No settings are known for the runtime '{runtime}'.",
            f"The names are {', '.join(_MOVES)}.",
        )
    room = _Room(axes, () if lossless else precisions(axes.flags))
    return tuple(s for move in _MOVES[runtime] for s in move(own, room) if s != own)


_Move = Callable[[Settings, _Room], Iterator[Settings]]


def _precision(own: Settings, room: _Room) -> Iterator[Settings]:
    for precision in (*room.half, Precision.FP32):
        yield replace(own, precision=precision)


def _bf16(own: Settings, room: _Room) -> Iterator[Settings]:
    half = tuple(p for p in room.half if p is Precision.BF16)
    yield from _precision(own, _Room(room.axes, half))


def _threads(own: Settings, room: _Room) -> Iterator[Settings]:
    """Fewer, then more, with the streams as they are."""
    most = max(1, room.axes.cores // own.streams)
    for threads in _beside(own.threads, thread_counts(most)):
        yield replace(own, threads=threads)


def _streams(own: Settings, room: _Room) -> Iterator[Settings]:
    """Fewer, then more, each with its share of the cores."""
    for streams in _beside(own.streams, thread_counts(min(room.axes.cores, room.axes.concurrency))):
        yield replace(own, streams=streams, threads=room.axes.cores // streams)


def _sizes(own: Settings, room: _Room) -> Iterator[Settings]:
    yield replace(own, fixed={} if own.fixed else room.axes.fixed)


def _pin(own: Settings, _room: _Room) -> Iterator[Settings]:
    yield replace(own, pin=not own.pin)


def _pin_workers(own: Settings, _room: _Room) -> Iterator[Settings]:
    if own.threads > 1:  # the caller's own thread is left alone
        yield replace(own, pin=not own.pin)


def _spin(own: Settings, _room: _Room) -> Iterator[Settings]:
    if own.threads > 1:  # a single thread has nobody to wait for
        yield replace(own, spin=not own.spin)


def _level(own: Settings, _room: _Room) -> Iterator[Settings]:
    for level in (GraphLevel.ALL, GraphLevel.EXTENDED):
        yield replace(own, level=level)


def _layout(own: Settings, _room: _Room) -> Iterator[Settings]:
    for layout in (Layout.AUTO, Layout.CHANNELS_LAST):
        yield replace(own, layout=layout)


def _denormals(own: Settings, _room: _Room) -> Iterator[Settings]:
    yield replace(own, flush_denormals=not own.flush_denormals)


def _arena(own: Settings, _room: _Room) -> Iterator[Settings]:
    yield replace(own, arena=not own.arena)


def _packing(own: Settings, _room: _Room) -> Iterator[Settings]:
    yield replace(own, packing=not own.packing)


_MOVES: dict[str, tuple[_Move, ...]] = {
    "openvino": (_precision, _streams, _threads, _pin, _sizes, _denormals),
    "onnxruntime": (_threads, _spin, _level, _pin_workers, _sizes, _arena, _packing),
    "inductor": (_bf16, _layout, _streams, _threads, _spin, _sizes),
    "torch": (_threads, _spin),
}


def _beside(own: int, counts: Sequence[int]) -> Iterator[int]:
    """The next below and the next above, of those that there are."""
    below = [n for n in counts if n < own]
    above = [n for n in counts if n > own]
    yield from (*([max(below)] if below else []), *([min(above)] if above else []))

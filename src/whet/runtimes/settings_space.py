"""Settings worth trying for one runtime, the most promising first.

A full grid would be mostly waste. So the settings that move latency most
(precision, fixed or dynamic sizes, threads) are crossed, and each of the
others is tried once, as a change to the most promising point of that grid.

Requests at once share the cores. A runtime with streams gives each of them
cores of its own: one that waits for all cores waits for the request before it
as well. One without has its callers compute beside its pool of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from whet.core.settings import GraphLevel, Layout, Precision, Settings
from whet.errors import OptionError
from whet.runtimes.axes import Axes

__all__ = ["precisions", "settings_space", "thread_counts"]

# Flags of /proc/cpuinfo that say a CPU multiplies in a half precision (x86; "bf16" and
# "asimdhp" are Arm's words).
_BF16 = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
_FP16 = frozenset({"amx_fp16", "avx512_fp16", "asimdhp"})
_EVERY_COUNT_UP_TO = 4


def settings_space(runtime: str, axes: Axes, *, lossless: bool) -> tuple[Settings, ...]:
    """The settings to try for a latency goal, ordered by promise, without repetition.

    Args:
        runtime: registered name.
        axes: of this machine.
        lossless: leave out precisions that change answers.

    Raises:
        OptionError: an unknown runtime, or less than one core or request.
    """
    if axes.cores < 1:
        raise OptionError(f"cores={axes.cores} can't run anything.", "Give 1 or more.")
    if axes.concurrency < 1:
        raise OptionError(f"concurrency={axes.concurrency} asks nothing.", "Give 1 or more.")
    if runtime not in _SPACES:
        raise OptionError(
            f"No settings are known for the runtime '{runtime}'.",
            f"The names are {', '.join(_SPACES)}.",
        )
    half = () if lossless else precisions(axes.flags)
    return tuple(_unique(_SPACES[runtime](axes, half)))


def precisions(flags: frozenset[str]) -> tuple[Precision, ...]:
    """Half precisions that a CPU with these flags computes in, fastest first."""
    return (
        *((Precision.BF16,) if flags & _BF16 else ()),
        *((Precision.FP16,) if flags & _FP16 else ()),
    )


def thread_counts(cores: int) -> list[int]:
    """Every count on few cores; halves of it on many. Most first: latency is the goal."""
    if cores <= _EVERY_COUNT_UP_TO:
        return list(range(cores, 0, -1))
    counts = [cores]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return counts


def _loads(cores: int, concurrency: int) -> list[tuple[int, int]]:
    """Threads and streams, for a runtime that has streams; never more than the cores together."""
    most = min(cores, concurrency)
    if most == 1:
        return [(threads, 1) for threads in thread_counts(cores)]
    spread = [(cores // streams, streams) for streams in reversed(thread_counts(most))]
    fewer = [(threads, most) for threads in thread_counts(cores // most)[1:]]
    return [spread[-1], *spread[:-1], *fewer]


def _shared(cores: int, concurrency: int) -> list[tuple[int, int]]:
    """The same for a runtime without streams: callers and the pool's further threads fill the cores."""
    filled = max(1, cores - concurrency + 1)
    return [(threads, 1) for threads in dict.fromkeys((filled, *thread_counts(cores)))]


def _sizes(fixed: Mapping[str, int]) -> list[dict[str, int]]:
    """All known sizes fixed, only the first of several, none."""
    choices = [dict(fixed)] if fixed else []
    if len(fixed) > 1:
        choices.append(dict(list(fixed.items())[:1]))
    return [*choices, {}]


def _grid(
    loads: Iterable[tuple[int, int]], fixed: Mapping[str, int], choices: Iterable[Precision]
) -> Iterator[Settings]:
    for threads, streams in loads:
        for precision in choices:
            for sizes in _sizes(fixed):
                yield Settings(threads=threads, streams=streams, precision=precision, fixed=sizes)


def _varied(base: Settings, **changes: Any) -> Iterator[Settings]:
    """The base with one field changed at a time."""
    for name, value in changes.items():
        yield msgspec.structs.replace(base, **{name: value})


def _openvino(axes: Axes, half: tuple[Precision, ...]) -> list[Settings]:
    grid = list(_grid(_loads(axes.cores, axes.concurrency), axes.fixed, (*half, Precision.FP32)))
    first, rest = grid[0], grid[1:]
    return [first, *_varied(first, pin=True, flush_denormals=True), *rest]


def _onnxruntime(axes: Axes, half: tuple[Precision, ...]) -> list[Settings]:
    del half  # the provider computes in the graph's own types
    grid = list(_grid(_shared(axes.cores, axes.concurrency), axes.fixed, (Precision.FP32,)))
    first = grid[0]
    # A single thread has nobody to wait for.
    alone = {"spin": False} if first.threads > 1 else {}
    changes = _varied(first, **alone, level=GraphLevel.EXTENDED)
    quiet = [msgspec.structs.replace(s, spin=False) for s in grid[1:] if s.threads > 1]
    return [first, *changes, *grid[1:], *quiet]


def _torch(axes: Axes, half: tuple[Precision, ...]) -> list[Settings]:
    # The baseline takes sizes and requests as they come and keeps its precision.
    del half
    counts = [Settings(threads=threads) for threads in thread_counts(axes.cores)]
    quiet = [msgspec.structs.replace(s, spin=False) for s in counts if s.threads > 1]
    return [*counts, *quiet]


def _inductor(axes: Axes, half: tuple[Precision, ...]) -> list[Settings]:
    # Each of these costs a compilation of half a minute: no grid over threads.
    bf16 = tuple(p for p in half if p is Precision.BF16)
    loads = _loads(axes.cores, axes.concurrency)
    grid = list(_grid(loads[:1], axes.fixed, (*bf16, Precision.FP32)))
    first = grid[0]
    alone = {"spin": False} if first.threads > 1 else {}
    whole = loads[1:2] if first.streams > 1 else []
    other = [
        msgspec.structs.replace(first, threads=threads, streams=streams)
        for threads, streams in (*whole, (1, first.streams))
    ]
    return [first, *_varied(first, layout=Layout.CHANNELS_LAST, **alone), *grid[1:], *other]


_SPACES = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "inductor": _inductor,
    "torch": _torch,
}


def _unique(settings: Iterable[Settings]) -> Iterator[Settings]:
    seen: set[bytes] = set()
    for one in settings:
        key = msgspec.json.encode(one, order="deterministic")
        if key not in seen:
            seen.add(key)
            yield one

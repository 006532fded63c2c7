"""The one reader: items come in order, a bounded pool decodes them ahead, order is kept.

Every source is a function that yields `Item` (cheap to make: a path, a line, a
slice of bytes) and a function that decodes a few of them. `ordered` keeps at
most ``ahead`` decodings in flight, so memory is bounded by the pool and not by
the source. Decoders of pictures and tokenisers release the interpreter lock,
which is why threads suffice.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from whet.core.note import Note
from whet.core.spec import TensorSpec
from whet.data.sample import Label, Sample
from whet.data.transform import Transform
from whet.errors import SamplesError

__all__ = ["Damaged", "Item", "StreamReader", "check_chosen", "ordered", "pool_size", "runs"]

J = TypeVar("J")
R = TypeVar("R")

_MOST_DAMAGED = 100  # after so many unreadable samples the rest isn't tried


@dataclass(frozen=True, slots=True)
class Item:
    """A sample before decoding; the source's own ``decode`` knows the type of its payload."""

    name: str
    payload: object
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class Damaged:
    """A sample that can't be decoded; reported together with its like."""

    name: str
    reason: str


@dataclass(frozen=True)
class StreamReader:
    """A `Reader` made of two functions.

    Attributes:
        items: yields the items at ascending indices (all for ``None``).
        decode: decodes a few items; runs in the pool.
        chunk: items given to one call of ``decode``.
        workers: threads of the pool; 0 decodes in the caller's thread.
    """

    source: str
    inputs: tuple[TensorSpec, ...]
    transform: Transform | None
    labelled: bool
    count: int | None
    items: Callable[[NDArray[np.int64] | None], Iterator[Item]]
    decode: Callable[[Sequence[Item]], list[Sample | Damaged]]
    rows_per_sample: int = 1
    notes: tuple[Note, ...] = ()
    chunk: int = 1
    workers: int = 0

    def read(self, chosen: NDArray[np.int64] | None = None) -> Generator[Sample, None, None]:
        """See `whet.data.sample.Reader.read`."""
        check_chosen(chosen, self.count)
        damaged: list[Damaged] = []
        expected = self.count if chosen is None else chosen.size
        items = _as_counted(self.items(chosen), expected, self.source)
        for decoded in ordered(self.decode, _chunks(items, self.chunk), self.workers):
            for sample in decoded:
                if isinstance(sample, Sample):
                    yield sample
                else:
                    damaged.append(sample)
            if len(damaged) >= _MOST_DAMAGED:
                break
        if damaged:
            raise _damaged(damaged, self.source)


def ordered(work: Callable[[J], R], jobs: Iterable[J], workers: int) -> Iterator[R]:
    """``map(work, jobs)`` with up to ``workers`` threads, in order, few jobs ahead."""
    if workers == 0:
        yield from map(work, jobs)
        return
    ahead = 3 * workers
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="whet-read") as pool:
        try:
            for job in jobs:
                pending.append(pool.submit(work, job))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def pool_size() -> int:
    """Decoding threads: the cores that this process may use, at most 8."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return min(cores, 8)


def check_chosen(chosen: NDArray[np.int64] | None, count: int | None) -> None:
    """Refuse indices that a reader can't serve.

    Raises:
        SamplesError: the count is unknown, or an index is out of range or order.
    """
    if chosen is None or chosen.size == 0:
        return
    if count is None:
        raise SamplesError("A source of unknown length can't be read by index.", "Read all of it.")
    if chosen[0] < 0 or chosen[-1] >= count or bool((np.diff(chosen) <= 0).any()):
        raise SamplesError(f"The indices must ascend within 0-{count - 1}.", "Sort them.")


def runs(chosen: NDArray[np.int64] | None, count: int, longest: int) -> Iterator[tuple[int, int]]:
    """Indices as (start, length) of consecutive runs, none longer than ``longest``."""
    if chosen is None:
        for start in range(0, count, longest):
            yield start, min(longest, count - start)
        return
    breaks = np.flatnonzero(np.diff(chosen) != 1) + 1
    for part in np.split(chosen, breaks):
        for start in range(0, part.size, longest):
            yield int(part[start]), min(longest, part.size - start)


def _as_counted(items: Iterator[Item], expected: int | None, source: str) -> Iterator[Item]:
    """The items, or an error where there are not as many as when the source was opened.

    A file that is still being written would shift samples against labels given apart.
    """
    seen = 0
    for item in items:
        seen += 1
        if expected is not None and seen > expected:
            break
        yield item
    if expected is not None and seen != expected:
        than = "more" if seen > expected else "fewer"
        raise SamplesError(
            f"{source} has {than} samples than when it was opened.",
            "Start again when nothing writes to it any more.",
        )


def _chunks(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _damaged(damaged: list[Damaged], source: str) -> SamplesError:
    first = damaged[0]
    if len(damaged) == 1:
        subject = f"'{first.name}' can't be read"
    else:
        least = "At least " if len(damaged) >= _MOST_DAMAGED else ""
        subject = f"{least}{len(damaged)} samples can't be read, the first is '{first.name}'"
    return SamplesError(
        f"In {source}: {subject}: {first.reason}", "Repair or remove what can't be read."
    )

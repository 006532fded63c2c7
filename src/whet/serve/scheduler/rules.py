"""The rules by which a batch is made: what can still be kept, on which variant, how large, and when.

All are functions of what waits, what variants take, and the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from whet.serve.scheduler.times import Times
from whet.serve.scheduler.waiting import Queue, Waiting

__all__ = ["Choice", "accurate_enough_in_time", "gathered", "may_wait_until"]

_LOOK = 64  # requests that are asked whether a variant is in time for them, beside the last
_GAIN = 0.98  # of the time for a row: waiting for more pays where they take less


@dataclass(frozen=True)
class Choice:
    """A variant that may answer.

    Attributes:
        name: of it.
        times: what it takes.
        most_rows: that it takes at once.
    """

    name: str
    times: Times
    most_rows: int

    def reach(self) -> int:
        """The most rows to try now: what never ran is come near to by doubling."""
        return min(self.most_rows, max(1, 2 * self.times.largest))


def accurate_enough_in_time(
    choices: Sequence[Choice],
    queue: Queue,
    now_s: float,
    *,
    workers: int,
    margin_s: float,
) -> int:
    """The place of the most accurate variant that would answer all that waits in time.

    Args:
        choices: from the most accurate to the fastest.
        queue: all that waits.
        now_s: the time.
        workers: that work at once.
        margin_s: that is kept free before each deadline.

    Returns:
        The last, where none would.
    """
    asked = list(islice(queue, _LOOK))
    before = accumulate(request.rows for request in asked)
    until = [(rows, r.deadline_s - margin_s) for rows, r in zip(before, asked, strict=True)]
    until.append((queue.rows, queue.last.deadline_s - margin_s))
    for place, choice in enumerate(choices[:-1]):
        size = choice.times.busiest(max(1, min(choice.reach(), queue.rows)))
        batch_s = choice.times.of(size)
        if all(
            now_s + math.ceil(rows / (size * workers)) * batch_s <= by_s for rows, by_s in until
        ):
            return place
    return len(choices) - 1


def gathered(
    choice: Choice, candidates: Sequence[Waiting], now_s: float, margin_s: float
) -> tuple[Waiting, ...]:
    """Those that run together: the first, and those after it that make nobody late.

    A request of more rows than a batch has runs by itself.
    """
    first, *others = candidates
    found, rows, deadline_s = [first], first.rows, first.deadline_s
    most = choice.reach()
    for request in others:
        more = rows + request.rows
        sooner_s = min(deadline_s, request.deadline_s)
        if more > most:
            break
        end_s = now_s + choice.times.of(more) + margin_s
        if end_s > sooner_s and not _lost(choice, found, rows, now_s, margin_s):
            break
        found.append(request)
        rows, deadline_s = more, sooner_s
    return tuple(found)


def _lost(
    choice: Choice, found: Sequence[Waiting], rows: int, now_s: float, margin_s: float
) -> bool:
    """Whether the batch is late for one of them as it is, so that more make it no worse."""
    return now_s + choice.times.of(rows) + margin_s > min(r.deadline_s for r in found)


def may_wait_until(
    choice: Choice,
    batch: Sequence[Waiting],
    now_s: float,
    *,
    rate: float,
    workers: int,
    margin_s: float,
) -> float | None:
    """Until when an idle worker does better to wait for more rows; ``None`` to run the batch now.

    Waiting pays only where rows come faster than batches of this size get done, where more rows
    take less time each, and as long as the next size is still in time for all.
    """
    rows = sum(request.rows for request in batch)
    if rows >= choice.reach() or rate <= 0:
        return None
    now_takes, next_takes = choice.times.of(rows), choice.times.of(rows + 1)
    if workers * rows / now_takes >= rate or next_takes / (rows + 1) > _GAIN * now_takes / rows:
        return None
    latest_s = min(request.deadline_s for request in batch) - next_takes - margin_s
    until_s = min(latest_s, now_s + 2 / rate)
    return until_s if until_s > now_s else None

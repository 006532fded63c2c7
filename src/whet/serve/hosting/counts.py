"""What a model did since it was opened: as distributions, and as the protocol's statistics have it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from whet.errors import BusyError, LateError, RequestError, ServeError
from whet.monitor.sketch import Sketch
from whet.serve.engine import Answered

__all__ = ["Counts", "Outcome", "statistics_of"]

_NS = 1e9


class Outcome(StrEnum):
    """How a request ended."""

    OK = "ok"
    INVALID = "invalid"
    REFUSED = "refused"
    LATE = "late"
    LEFT = "left"
    FAILED = "failed"


_OUTCOMES = {RequestError: Outcome.INVALID, BusyError: Outcome.REFUSED, LateError: Outcome.LATE}


@dataclass
class Counts:
    """Over all requests of a model. One thread writes them.

    Attributes:
        rows: that were answered.
        batches: as shares: a request of a batch of four rows that brings one counts a quarter.
        last_ms: when the last was answered, since 1970.
        outcomes: requests by how they ended.
        success: seconds of those that were answered, from their arrival.
        fail: of the others.
        queue: seconds until a batch began.
        before: for reading raw samples.
        ran: of the batch.
        after: for all else.
        together: rows of the batch that a request was part of.
        shares: rows by the variant that answered.
    """

    rows: int = 0
    batches: float = 0.0
    last_ms: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    success: Sketch = field(default_factory=Sketch)
    fail: Sketch = field(default_factory=Sketch)
    queue: Sketch = field(default_factory=Sketch)
    before: Sketch = field(default_factory=Sketch)
    ran: Sketch = field(default_factory=Sketch)
    after: Sketch = field(default_factory=Sketch)
    together: Sketch = field(default_factory=Sketch)
    shares: Counter[str] = field(default_factory=Counter)

    def answered(self, found: Answered, rows: int, *, whole_s: float, decode_s: float) -> None:
        """A request was answered.

        Args:
            found: its answer.
            rows: that it brought.
            whole_s: since it came.
            decode_s: of that for reading its samples.
        """
        self.rows += rows
        self.batches += rows / found.together
        self.last_ms = time.time_ns() // 1_000_000
        self.outcomes[Outcome.OK] += 1
        self.shares[found.variant] += rows
        self.success.add(whole_s)
        self.queue.add(found.waited_s - decode_s)  # which counts from the arrival
        self.before.add(decode_s)
        self.ran.add(found.ran_s)
        self.after.add(whole_s - found.waited_s - found.ran_s)
        self.together.add(found.together)

    def failed(self, error: ServeError, whole_s: float) -> None:
        """A request was refused or failed."""
        self.outcomes[_OUTCOMES.get(type(error), Outcome.FAILED)] += 1
        self.fail.add(whole_s)

    def left(self) -> None:
        """A client didn't wait for its answer."""
        self.outcomes[Outcome.LEFT] += 1


def statistics_of(name: str, version: str, counts: Counts) -> dict[str, object]:
    """One entry of ``model_stats``."""
    nothing = {"count": 0, "ns": 0}
    return {
        "name": name,
        "version": version,
        "last_inference": counts.last_ms,
        "inference_count": counts.rows,
        "execution_count": round(counts.batches),
        "inference_stats": {
            "success": _duration(counts.success),
            "fail": _duration(counts.fail),
            "queue": _duration(counts.queue),
            "compute_input": _duration(counts.before),
            "compute_infer": _duration(counts.ran),
            "compute_output": _duration(counts.after),
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [],
    }


def _duration(seconds: Sketch) -> dict[str, int]:
    return {"count": seconds.count, "ns": round(seconds.total * _NS)}

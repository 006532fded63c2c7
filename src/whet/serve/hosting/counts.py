"""What a model did since it was opened, as the protocol's statistics have it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from whet.serve.engine import Answered

__all__ = ["Counts", "statistics_of"]

_NS = 1e9


@dataclass
class _Sum:
    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def plain(self) -> dict[str, int]:
        return {"count": self.count, "ns": round(self.seconds * _NS)}


@dataclass
class Counts:
    """Sums over all requests of a model. One thread writes them.

    Attributes:
        rows: that were answered.
        batches: as shares: a request of a batch of four rows that brings one counts a quarter.
        shares: rows by the variant that answered.
    """

    rows: int = 0
    batches: float = 0.0
    last_ms: int = 0
    success: _Sum = field(default_factory=_Sum)
    fail: _Sum = field(default_factory=_Sum)
    queue: _Sum = field(default_factory=_Sum)
    before: _Sum = field(default_factory=_Sum)
    ran: _Sum = field(default_factory=_Sum)
    after: _Sum = field(default_factory=_Sum)
    shares: dict[str, int] = field(default_factory=dict)

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
        self.shares[found.variant] = self.shares.get(found.variant, 0) + rows
        self.success.add(whole_s)
        self.queue.add(max(0.0, found.waited_s))
        self.before.add(decode_s)
        self.ran.add(found.ran_s)
        self.after.add(max(0.0, whole_s - decode_s - found.waited_s - found.ran_s))

    def failed(self, whole_s: float) -> None:
        """A request was refused or failed."""
        self.fail.add(whole_s)


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
            "success": counts.success.plain(),
            "fail": counts.fail.plain(),
            "queue": counts.queue.plain(),
            "compute_input": counts.before.plain(),
            "compute_infer": counts.ran.plain(),
            "compute_output": counts.after.plain(),
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "batch_stats": [],
    }

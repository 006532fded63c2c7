"""What came of some load: how many answers in time, how late the others, and what was said; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from whet.core.evidence import Percentile, Verdict
from whet.measure.statistics import limit_verdict, percentiles

__all__ = ["ANSWERED", "Asked", "Load", "load_of"]

ANSWERED = "ok"
"""The ending of requests that got an answer."""

_SHOWN = (50.0, 90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes:
        due_s: when it was to be sent, from the beginning.
        sent_s: when it was.
        ended_s: when it had its answer, or was refused.
        ending: `ANSWERED`, or why it wasn't.
        variant: that answered; empty where nobody said.
    """

    due_s: float
    sent_s: float
    ended_s: float
    ending: str
    variant: str = ""

    @property
    def ms(self) -> float:
        """Latency, from when it was due."""
        return (self.ended_s - self.due_s) * 1e3


class Load(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some load, and what came of it.

    Attributes:
        requests: in all.
        seconds: until the last was due, or for a closed loop until it ended.
        offered_per_s: requests a second.
        answered_per_s: of them, with an answer.
        goodput_per_s: of them, with an answer within the limit.
        limit_ms: that answers have to keep; ``None`` for any time.
        endings: requests by how they ended.
        percentiles: of the latency of all that were answered, from when they were due.
        refused_ms: median until those that weren't answered knew it; ``None`` where all were.
        max_ms: of the answered; 0 where none was.
        behind_ms: 99th percentile of how late requests were sent by ourselves, which is in the
            latencies: above it they can't be told apart from our own slowness.
        variants: answers by the variant that gave them.
        verdict: whether ``percentile`` of all requests kept the limit, by so many that it isn't
            chance, if they were independent; behind a queue misses come in clumps.
        percentile: that the limit is of.
    """

    requests: int
    seconds: float
    offered_per_s: float
    answered_per_s: float
    goodput_per_s: float
    limit_ms: float | None
    endings: dict[str, int]
    percentiles: tuple[Percentile, ...]
    refused_ms: float | None
    max_ms: float
    behind_ms: float
    variants: dict[str, int]
    verdict: Verdict | None
    percentile: float


def load_of(
    asked: Sequence[Asked],
    seconds: float,
    *,
    limit_ms: float | None = None,
    percentile: float = 99.0,
) -> Load:
    """Sum up.

    Args:
        asked: all requests.
        seconds: that they were spread over.
        limit_ms: within which an answer counts.
        percentile: of all requests that has to keep it.
    """
    answered = np.array([a.ms for a in asked if a.ending == ANSWERED])
    good = len(answered) if limit_ms is None else int((answered <= limit_ms).sum())
    refused = [(a.ended_s - a.sent_s) * 1e3 for a in asked if a.ending != ANSWERED]
    behind = [(a.sent_s - a.due_s) * 1e3 for a in asked]
    return Load(
        requests=len(asked),
        seconds=seconds,
        offered_per_s=len(asked) / seconds,
        answered_per_s=len(answered) / seconds,
        goodput_per_s=good / seconds,
        limit_ms=limit_ms,
        endings=dict(sorted(Counter(a.ending for a in asked).items())),
        percentiles=percentiles([[answered]], _SHOWN) if len(answered) else (),
        refused_ms=float(np.median(refused)) if refused else None,
        max_ms=float(answered.max(initial=0.0)),
        behind_ms=float(np.percentile(behind, 99)) if behind else 0.0,
        variants=dict(sorted(Counter(a.variant for a in asked if a.variant).items())),
        verdict=limit_verdict(len(asked), len(asked) - good, percentile)
        if limit_ms is not None and asked
        else None,
        percentile=percentile,
    )

"""Percentiles with intervals that misses of a limit would prove, also where misses come in clumps.

Theory of operation. A limit is proved for a percentile, or refuted, by counting the queries
that took longer (`limit_verdict`). That count is binomial only if queries miss independently.
They don't: a neighbour that wakes up, or a process with an unlucky memory layout, makes whole
turns or restarts slow, and thousands of queries then say little more than a few turns do.
Kish's design effect is what that costs: with k misses of n queries in turns of n_t, it is

    S / E,  S = sum over turns of (k_t - k n_t / n)^2,  E = k (n - k) / (n - 1) (1 - sum n_t^2 / n^2)

where E is what S is on average if the k misses fall on the queries at random. n queries with k
misses then prove what n / deff with k / deff independent ones would. The effect is taken over
turns and over restarts, whichever is larger. A handful of restarts measures its own effect
badly, so what it has above 1 is widened as Student's t widens a normal interval. In simulations
of 5 restarts that differ by a factor of 2 (and 25,000 queries at a true miss rate of 1 %) a p99
limit passed 4 times in 100, and 40 times if queries were counted as independent (the tests
repeat it). No method sees what happens less often than once in the restarts that ran.

The interval of a percentile holds the limits that are neither proved nor refuted, at 99 % on each
side. So "the upper end is within the limit" and "the count proves the limit" are one statement.
What isn't proved of a lower percentile isn't of a higher one either: few misses show little of a
clump, so that of two restarts which differ the p99 could seem surer than the p50. An upper end is at
least that of all percentiles below, a lower end at most that of all above.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Percentile, Verdict
from whet.measure.statistics.counts import PROOF, limit_verdict, queries_needed, tail_share
from whet.measure.statistics.special import normal_quantile, student_quantile

__all__ = ["Turned", "design_effect", "percentiles"]

Turned = Sequence[Sequence[NDArray[np.float64]]]
"""Latencies in ms of each turn, by restart."""

_BELOW = (50.0, 90.0, 95.0, 99.0)  # that tell of clumps which few misses don't show
_STEP = 1.05  # distances from the first limit tried grow by this, so that few are tried


def design_effect(misses: Sequence[Sequence[int]], queries: Sequence[Sequence[int]]) -> float:
    """How many queries say as much as one independent query would; at least 1.

    Args:
        misses: of each turn, by restart.
        queries: of each turn, by restart.
    """
    restarts = len(misses)
    turns = _clumping([k for each in misses for k in each], [n for each in queries for n in each])
    between = _clumping([sum(each) for each in misses], [sum(each) for each in queries])
    if restarts < 2:
        return max(1.0, turns)
    wider = (student_quantile(PROOF, restarts - 1) / normal_quantile(PROOF)) ** 2
    return max(1.0, turns, 1 + wider * (between - 1))


def _clumping(misses: Sequence[int], queries: Sequence[int]) -> float:
    k, n = np.asarray(misses, np.float64), np.asarray(queries, np.float64)
    missed, total = float(k.sum()), float(n.sum())
    if missed <= 1 or missed >= total:  # a single miss is no clump
        return 1.0
    by_chance = missed * (total - missed) / (total - 1) * (1 - float(np.sum(n**2)) / total**2)
    return float(np.sum((k - n * missed / total) ** 2)) / by_chance if by_chance > 0 else 1.0


def percentiles(turned: Turned, wanted: Sequence[float]) -> tuple[Percentile, ...]:
    """The percentiles that so many queries support, each with its interval.

    A percentile is given only where `queries_needed` is met with no miss: below that
    not even the largest sample bounds it. Its value is the order statistic of rank
    ceil(n q), which never interpolates downwards.

    Args:
        turned: of one contender. Latencies that belong to no turns go in as one.
        wanted: percentiles, 0 to 100.
    """
    table = _Table(turned)
    n = len(table.ordered)
    asked = {q for q in wanted if n >= queries_needed(q)}
    found = []
    for q in sorted(asked | {q for q in _BELOW if q < max(asked, default=0)}):
        # The rounding undoes 0.07 * 100 = 7.000000000000001 before the ceiling.
        rank = max(1, math.ceil(round(n * (100 - tail_share(q) * 100) / 100, 9)))
        found.append(
            Percentile(
                q=q,
                value_ms=float(table.ordered[rank - 1]),
                low_ms=table.refuted_below(q),
                high_ms=table.proved_from(q),
            )
        )
    return tuple(each for each in _in_order(found) if each.q in asked)


def _in_order(found: Sequence[Percentile]) -> list[Percentile]:
    """The same, from low to high, with ends that don't fall."""
    highs = accumulate((math.inf if p.high_ms is None else p.high_ms for p in found), max)
    lows = accumulate((-math.inf if p.low_ms is None else p.low_ms for p in reversed(found)), min)
    return [
        msgspec.structs.replace(
            each,
            low_ms=None if low == -math.inf else low,
            high_ms=None if high == math.inf else high,
        )
        for each, low, high in zip(found, reversed(list(lows)), highs, strict=True)
    ]


class _Table:
    """Queries sorted as a whole and within each turn, so that counting misses is a look-up."""

    def __init__(self, turned: Turned) -> None:
        self._turns = [[np.sort(ms) for ms in restart] for restart in turned]
        self._sizes = [[len(ms) for ms in restart] for restart in turned]
        self.ordered = np.sort(np.concatenate([ms for restart in turned for ms in restart]))

    def proved_from(self, q: float) -> float | None:
        """The smallest latency that the counts prove as a limit."""
        n = len(self.ordered)
        # More misses than independent queries may have prove nothing in clumps either.
        most = _last(n, lambda k: limit_verdict(n, k, q) is Verdict.PASSED)
        for back in _distances(most):
            limit = float(self.ordered[n - 1 - (most - back)])
            if self._verdict(limit, q, side="right") is Verdict.PASSED:
                return limit
        return None

    def refuted_below(self, q: float) -> float | None:
        """The largest latency below which the counts refute every limit."""
        n = len(self.ordered)
        fewest = n - _last(n, lambda hits: limit_verdict(n, n - hits, q) is Verdict.FAILED)
        for more in _distances(n - fewest):
            limit = float(self.ordered[n - (fewest + more)])
            if self._verdict(limit, q, side="left") is Verdict.FAILED:
                return limit
        return None

    def _verdict(self, limit: float, q: float, *, side: Literal["left", "right"]) -> Verdict:
        """Of a limit, or (side "left") of one just below it."""
        misses = [
            [len(ms) - int(ms.searchsorted(limit, side)) for ms in restart]
            for restart in self._turns
        ]
        effect = design_effect(misses, self._sizes)
        return limit_verdict(len(self.ordered), sum(map(sum, misses)), q, effect)


def _last(most: int, holds: Callable[[int], bool]) -> int:
    """The largest count up to ``most`` for which ``holds``, which ends once; -1 for none."""
    low, high = -1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _distances(most: int) -> Iterator[int]:
    """0, 1, 2 and so on with growing steps, and ``most`` itself as the last.

    At the last, either every query missed the limit or none did: there is no clump,
    so whatever the restarts, there is an end of the interval.
    """
    distance = 0
    while distance < most:
        yield distance
        distance = max(distance + 1, int(distance * _STEP))
    if most >= 0:
        yield most

"""What counts can prove: misses of a limit, percentiles, shares, many tests at once.

Everything here is distribution-free. The number of queries above a percentile
is binomial whatever the latency's distribution is; so is the rank of a
percentile among the sorted samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Percentile, Verdict
from whet.measure.statistics.special import (
    beta_quantile,
    binomial_cdf,
    binomial_tail,
)

__all__ = [
    "binomial_lower",
    "binomial_upper",
    "holm",
    "limit_verdict",
    "mcnemar_exact",
    "order_statistic_interval",
    "order_statistic_ranks",
    "percentiles",
    "queries_needed",
    "samples_to_show",
    "unseen_share",
]

PROOF = 0.99
"""Confidence with which a percentile's limit is proved, as MLPerf LoadGen does."""


def queries_needed(percentile: float, misses: int = 0, confidence: float = PROOF) -> int:
    """Queries that prove "percentile <= limit" when ``misses`` of them took longer.

    The smallest n with P(Binomial(n, 1 - percentile/100) <= misses) <= 1 - confidence:
    so few misses would be that unlikely if the percentile lay above the limit. For
    p99 and 0, 1, 5 misses at 99 %: 459, 662, 1307 (the early-stopping rule of MLPerf LoadGen).
    """
    share = _tail_share(percentile)

    def proves(n: int) -> bool:
        return binomial_cdf(misses, n, share) <= 1 - confidence

    high = misses + 1
    while not proves(high):
        high *= 2
    low = high // 2
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if proves(middle) else (middle, high)
    return high


def limit_verdict(
    queries: int, misses: int, percentile: float, confidence: float = PROOF
) -> Verdict:
    """Whether counted misses prove that a percentile keeps its limit, or breaks it."""
    if queries == 0:
        return Verdict.UNDECIDED
    share = _tail_share(percentile)
    if binomial_cdf(misses, queries, share) <= 1 - confidence:
        return Verdict.PASSED
    if binomial_tail(misses, queries, share) <= 1 - confidence:
        return Verdict.FAILED
    return Verdict.UNDECIDED


def _tail_share(percentile: float) -> float:
    # From the decimal number that was written: 1 - 99/100 in floats is not 0.01, and
    # a query more or less at the edge should not hang on that.
    return round(100 - percentile, 10) / 100


def order_statistic_ranks(
    n: int, percentile: float, confidence: float
) -> tuple[int | None, int | None]:
    """Ranks (from 1) of the sorted samples that enclose a percentile.

    With B ~ Binomial(n, q) the number of samples below the percentile,
    P(x_(l) <= x_q <= x_(u)) = P(l <= B <= u - 1): l is the largest rank with
    P(B <= l - 1) <= alpha/2 and u the smallest with P(B >= u) <= alpha/2 (David and
    Nagaraja, *Order Statistics*, section 7.1). ``None``: no sample bounds that side.
    """
    above = _tail_share(percentile)
    below = 1 - above
    half = (1 - confidence) / 2
    low = _first(lambda rank: binomial_cdf(rank - 1, n, below) > half, 1, n + 1) - 1
    high = _first(lambda rank: binomial_tail(rank, n, below) <= half, 1, n + 1)
    return (low or None), (high if high <= n else None)


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The smallest whole number from ``low`` for which ``holds``; ``high`` if none below it."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def order_statistic_interval(
    ms: NDArray[np.float64], percentile: float, confidence: float = 0.95
) -> tuple[float | None, float | None]:
    """Distribution-free two-sided interval of a percentile of ``ms`` (any order)."""
    ordered = np.sort(ms)
    low, high = order_statistic_ranks(len(ordered), percentile, confidence)
    return (
        None if low is None else float(ordered[low - 1]),
        None if high is None else float(ordered[high - 1]),
    )


def percentiles(
    ms: NDArray[np.float64], wanted: Sequence[float], confidence: float = 0.95
) -> tuple[Percentile, ...]:
    """The percentiles that so many samples support, each with its interval.

    A percentile is given only where `queries_needed` is met with no miss: below that
    not even the largest sample bounds it. Its value is the order statistic of rank
    ceil(n q), which never interpolates downwards.
    """
    ordered = np.sort(ms)
    n = len(ordered)
    found = []
    for q in sorted(set(wanted)):
        if n < queries_needed(q):
            continue
        # The rounding undoes 0.07 * 100 = 7.000000000000001 before the ceiling.
        rank = max(1, math.ceil(round(n * (100 - _tail_share(q) * 100) / 100, 9)))
        low, high = order_statistic_ranks(n, q, confidence)
        found.append(
            Percentile(
                q=q,
                value_ms=float(ordered[rank - 1]),
                low_ms=None if low is None else float(ordered[low - 1]),
                high_ms=None if high is None else float(ordered[high - 1]),
            )
        )
    return tuple(found)


def binomial_upper(successes: int, n: int, confidence: float) -> float:
    """One-sided upper bound of a share (Clopper and Pearson 1934); never too low."""
    if successes >= n:
        return 1.0
    return beta_quantile(confidence, successes + 1, n - successes)


def binomial_lower(successes: int, n: int, confidence: float) -> float:
    """One-sided lower bound of a share (Clopper and Pearson 1934); never too high."""
    if successes <= 0:
        return 0.0
    return beta_quantile(1 - confidence, successes, n - successes + 1)


def unseen_share(n: int, confidence: float) -> float:
    """The largest share of inputs of which ``n`` samples may all hold none (about 3/n at 95 %)."""
    return -math.expm1(math.log1p(-confidence) / n)


def samples_to_show(share: float, confidence: float) -> int | None:
    """Samples of which one belongs to a ``share`` of inputs, with this confidence; None of 0."""
    if share <= 0:
        return None
    # The rounding undoes the last bit, on which a sample more or less should not hang.
    needed = math.log1p(-confidence) / math.log1p(-share) if share < 1 else 1.0
    return max(1, math.ceil(round(needed, 9)))


def mcnemar_exact(losses: int, gains: int) -> float:
    """Two-sided p-value that losses and gains are equally likely (McNemar, exact binomial)."""
    n = losses + gains
    if n == 0:
        return 1.0
    return min(1.0, 2 * binomial_cdf(min(losses, gains), n, 0.5))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values corrected over all tests (Holm 1979), in the order given.

    The i-th smallest of k is multiplied by k - i + 1, then made monotone and cut at 1:
    whichever are below alpha then hold together with confidence 1 - alpha.
    """
    k = len(p_values)
    order = sorted(range(k), key=lambda i: p_values[i])
    corrected = [1.0] * k
    running = 0.0
    for position, i in enumerate(order):
        running = max(running, min(1.0, p_values[i] * (k - position)))
        corrected[i] = running
    return tuple(corrected)

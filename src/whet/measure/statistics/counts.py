"""What counts can prove: misses of a limit, percentiles, shares, many tests at once.

Everything here is distribution-free: the number of independent queries above a percentile
is binomial whatever the latency's distribution is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from whet.core.evidence import Verdict
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
    "queries_needed",
    "samples_to_show",
    "tail_share",
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
    share = tail_share(percentile)

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


def limit_verdict(queries: int, misses: int, percentile: float, deff: float = 1.0) -> Verdict:
    """Whether counted misses prove that a percentile keeps its limit, or breaks it.

    Args:
        queries: that were answered.
        misses: those that took longer than the limit.
        percentile: that the limit bounds.
        deff: how many queries say as much as one independent query, where misses come
            in clumps (`whet.measure.statistics.tails.design_effect`).
    """
    if queries == 0:
        return Verdict.UNDECIDED
    share, n, k = tail_share(percentile), queries / deff, misses / deff
    if binomial_cdf(k, n, share) <= 1 - PROOF:
        return Verdict.PASSED
    if binomial_tail(k, n, share) <= 1 - PROOF:
        return Verdict.FAILED
    return Verdict.UNDECIDED


def tail_share(percentile: float) -> float:
    """The share of queries that may lie above a percentile: 0.01 for 99."""
    # From the decimal number that was written: 1 - 99/100 in floats is not 0.01, and
    # a query more or less at the edge should not hang on that.
    return round(100 - percentile, 10) / 100


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

"""The speed-up of one contender over another at a tail percentile, by resampled turns.

Theory of operation. A p99 of a thousand queries rests on the ten slowest, which come in clumps:
two runs of one engine often differ by a tenth at p99, and the point alone calls one of them
slower. So whole turns are drawn again, not queries, and restarts above them: the block bootstrap
with blocks as long as what makes queries alike. Both contenders keep the turns of the same round,
which ran within the same seconds. Each resample's percentile is taken over all of its queries, by
weights, so nothing is copied. With R restarts the quantiles are widened by sqrt(R / (R - 1)), as in
`whet.measure.statistics.ratios`.

In simulations of equal engines with restless turns and restarts the 90 % interval lay wholly on
the slow side at most 8 times in 100, where the point was 10 % off 11 to 23 times; one that took
twice as long always did (the tests repeat it).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from whet.measure.statistics.tails import Turned

__all__ = ["tail_ratio_interval"]

_RESAMPLES = 400
_AT_ONCE = 2_000_000  # weights in memory at once


def tail_ratio_interval(
    baseline: Turned, contender: Turned, q: float, confidence: float = 0.90, *, seed: int = 0
) -> tuple[float, float, float]:
    """Speed-up at percentile ``q`` with its two-sided interval: ``(value, low, high)``.

    Args:
        baseline: latencies of each turn, by restart; at least one.
        contender: the same turns of the other; above 1 means that it is faster.
        q: percentile, 0 to 100.
        confidence: of the interval; each end is one-sided at half of the rest.
        seed: of the resampling.
    """
    rounds = [min(len(a), len(b)) for a, b in zip(baseline, contender, strict=True)]
    weights = _drawn(rounds, np.random.default_rng(seed))
    slow, fast = (
        np.log(
            _percentiles([ms for r, n in zip(of, rounds, strict=True) for ms in r[:n]], weights, q)
        )
        for of in (baseline, contender)
    )
    logs = slow - fast
    value, drawn = float(logs[0]), logs[1:]
    half = (1 - confidence) / 2
    low, high = (float(end) for end in np.quantile(drawn, [half, 1 - half]))
    restarts = sum(map(bool, rounds))
    wider = math.sqrt(restarts / (restarts - 1)) if restarts > 1 else 1.0
    return (
        math.exp(value),
        math.exp(min(value, value + wider * (low - value))),
        math.exp(max(value, value + wider * (high - value))),
    )


def _drawn(rounds: list[int], rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each turn was drawn (1 + resamples, turns); in the first row once each."""
    starts = np.cumsum([0, *rounds])
    filled = [restart for restart, n in enumerate(rounds) if n]
    weights = np.zeros((1 + _RESAMPLES, starts[-1]))
    weights[0] = 1
    for row in weights[1:]:
        for restart in rng.choice(filled, len(filled)):
            n = rounds[restart]
            row[starts[restart] : starts[restart + 1]] += rng.multinomial(n, np.full(n, 1 / n))
    return weights


def _percentiles(
    turns: list[NDArray[np.float64]], weights: NDArray[np.float64], q: float
) -> NDArray[np.float64]:
    """Percentile ``q`` of the queries of all turns, for each row of weights of the turns."""
    ms = np.concatenate(turns)
    order = np.argsort(ms, kind="stable")
    turn_of = np.repeat(np.arange(len(turns)), [len(turn) for turn in turns])[order]
    ordered = ms[order]
    at_once = max(1, _AT_ONCE // len(ms))
    found = []
    for start in range(0, len(weights), at_once):
        counted = weights[start : start + at_once][:, turn_of].cumsum(axis=1)
        # The rounding undoes 0.07 * 100 = 7.000000000000001 before ranks are compared.
        wanted = np.round(counted[:, -1] * q / 100, 9)
        found.append(ordered[(counted < wanted[:, None]).sum(axis=1)])
    return np.concatenate(found)

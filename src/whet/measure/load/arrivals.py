"""When requests are due: an open loop's schedule, made before the clock starts; pure.

Who waits for an answer before asking again slows down with the server and never sees it overloaded
("coordinated omission"). A schedule doesn't wait.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whet.core.units import seconds_words
from whet.errors import OptionError

__all__ = ["bursts", "evenly", "poisson", "poisson_arrivals", "traced"]

Seconds = NDArray[np.float64]


def evenly(rate_per_s: float, seconds: float) -> Seconds:
    """One after another in equal gaps.

    Raises:
        OptionError: a rate or time that is not positive.
    """
    _check(rate_per_s, seconds)
    return np.arange(0.0, seconds, 1 / rate_per_s)


def poisson(rate_per_s: float, seconds: float, seed: int) -> Seconds:
    """At random, as from many clients that know nothing of each other, for so long.

    Raises:
        OptionError: a rate or time that is not positive.
    """
    _check(rate_per_s, seconds)
    rng = np.random.default_rng(seed)
    count = rng.poisson(rate_per_s * seconds)
    return np.sort(rng.uniform(0.0, seconds, count))


def poisson_arrivals(rate_per_s: float, queries: int, seed: int) -> Seconds:
    """The same for so many: exponential gaps.

    Raises:
        OptionError: a rate that is not positive.
    """
    if not rate_per_s > 0:
        raise OptionError(f"{rate_per_s} arrivals per second never come.", "Give a rate above 0.")
    gaps = np.random.default_rng(seed).exponential(1 / rate_per_s, queries)
    arrivals: Seconds = np.cumsum(gaps)
    return arrivals


def bursts(
    rate_per_s: float, seconds: float, seed: int, *, peak: float = 4.0, period_s: float = 1.0
) -> Seconds:
    """At random, ``peak`` times as often in a part of each period and seldom in the rest.

    The mean is kept: a tenth of the rate remains between bursts, and the bursts are as long as the
    rest takes.

    Args:
        rate_per_s: on average.
        seconds: in all.
        seed: of the schedule.
        peak: times the mean rate, while a burst lasts.
        period_s: from one burst's beginning to the next.

    Raises:
        OptionError: a rate or time that is not positive, or a peak that is none.
    """
    _check(rate_per_s, seconds)
    if peak <= 1 or period_s <= 0:
        period = seconds_words(period_s)
        raise OptionError(f"A peak of {peak} every {period} is no burst.", "Give more than 1.")
    low = 0.1
    lasts = (1 - low) / (peak - low)  # share of a period
    rng = np.random.default_rng(seed)
    due: list[Seconds] = []
    for start in np.arange(0.0, seconds, period_s):
        for begin, end, rate in (
            (start, start + lasts * period_s, peak * rate_per_s),
            (start + lasts * period_s, start + period_s, low * rate_per_s),
        ):
            due.append(rng.uniform(begin, end, rng.poisson(rate * (end - begin))))
    every = np.sort(np.concatenate(due))
    return every[every < seconds]


def traced(times_s: Sequence[float], *, faster: float = 1.0) -> Seconds:
    """As they came once.

    Args:
        times_s: of the requests, on any clock, in any order.
        faster: how many times as fast they come now.

    Raises:
        OptionError: there are none, one is no time, or a speed that is not positive.
    """
    every = np.sort(np.asarray(times_s, np.float64))
    if not len(every) or not np.isfinite(every).all() or not faster > 0:
        raise OptionError("A trace without times can't be followed.", "Give one time a line.")
    due: Seconds = (every - every[0]) / faster
    return due


def _check(rate_per_s: float, seconds: float) -> None:
    if not rate_per_s > 0 or not seconds > 0:
        raise OptionError(
            f"{rate_per_s} requests a second for {seconds_words(seconds)} never come.",
            "Give more than 0.",
        )

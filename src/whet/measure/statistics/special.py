"""The few special functions that the intervals need: incomplete beta, Student's t, normal.

Theory of operation. All binomial and Student tails are values of the
regularised incomplete beta function

    I_x(a, b) = x^a (1-x)^b / (a B(a, b)) * 1 / (1 + d1/(1 + d2/(1 + ...)))

computed by its continued fraction (modified Lentz method; Press et al.,
*Numerical Recipes*, section 6.4). The factor in front is a binomial density.
Through log-gamma it would lose eight digits at n = 1e6, so it is taken from
Loader's saddle-point form ("Fast and accurate computation of binomial
probabilities", 2000), which loses none. Inverses are bisections: the
functions are monotone, and a bisection can't miss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

__all__ = [
    "beta_quantile",
    "binomial_cdf",
    "binomial_tail",
    "bisect",
    "incomplete_beta",
    "normal_cdf",
    "normal_quantile",
    "student_quantile",
]

_NORMAL = NormalDist()
_TINY = 1e-300


def normal_quantile(p: float) -> float:
    """The standard normal's quantile, ``0 < p < 1``."""
    return _NORMAL.inv_cdf(p)


def normal_cdf(z: float) -> float:
    """The standard normal's distribution function."""
    return _NORMAL.cdf(z)


def bisect(below: Callable[[float], bool], low: float, high: float) -> float:
    """The point between ``low`` and ``high`` where ``below`` turns from true to false.

    Runs until the interval can't be halved in floating point.
    """
    while low < (middle := low + (high - low) / 2) < high:
        if below(middle):
            low = middle
        else:
            high = middle
        if high - low <= 1e-14 * abs(high):
            break
    return low + (high - low) / 2


def _stirling_error(x: float) -> float:
    """The error log(x!) minus Stirling's formula."""
    if x <= 15:
        return math.lgamma(x + 1) - (x + 0.5) * math.log(x) + x - 0.5 * math.log(2 * math.pi)
    square = x * x
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / x


def _deviance(x: float, mean: float) -> float:
    """Loader's bd0: x log(x / mean) + mean - x, without cancellation where the two are close."""
    if abs(x - mean) >= 0.1 * (x + mean):
        return x * math.log(x / mean) + mean - x
    ratio = (x - mean) / (x + mean)
    total, term = (x - mean) * ratio, 2 * x * ratio
    for j in range(1, 1000):
        term *= ratio * ratio
        after = total + term / (2 * j + 1)
        if after == total:
            break
        total = after
    return total


def _front(a: float, b: float, x: float) -> float:
    """The factor x^a (1-x)^b / B(a, b), by Loader's saddle-point form."""
    n = a + b
    exponent = (
        _stirling_error(n)
        - _stirling_error(a)
        - _stirling_error(b)
        - _deviance(a, n * x)
        - _deviance(b, n * (1 - x))
    )
    return math.exp(exponent) * math.sqrt(a * b / (2 * math.pi * n))


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b), by the modified Lentz method."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    h = d
    # The fraction converges in O(sqrt(max(a, b))) terms on the side that is taken.
    for m in range(1, 200 + 20 * math.isqrt(int(max(a, b)) + 1)):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 + step * d
            d = 1 / (d if abs(d) > _TINY else _TINY)
            c = 1 + step / c
            c = c if abs(c) > _TINY else _TINY
            h *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return h


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b) for ``a, b > 0``."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = _front(a, b, x)
    if x < (a + 1) / (a + b + 2):
        return min(1.0, front * _fraction(a, b, x) / a)
    return max(0.0, 1 - front * _fraction(b, a, 1 - x) / b)


def beta_quantile(p: float, a: float, b: float) -> float:
    """The ``x`` with I_x(a, b) = p."""
    return bisect(lambda x: incomplete_beta(a, b, x) < p, 0.0, 1.0)


def binomial_cdf(k: float, n: float, p: float) -> float:
    """P(X <= k) for X ~ Binomial(n, p); between whole numbers, a smooth continuation."""
    if k < 0:
        return 0.0
    return 1.0 if k >= n else incomplete_beta(n - k, k + 1, 1 - p)


def binomial_tail(k: float, n: float, p: float) -> float:
    """P(X >= k) for X ~ Binomial(n, p), accurate where it is small; continued as the other is."""
    if k <= 0:
        return 1.0
    return 0.0 if k > n else incomplete_beta(k, n - k + 1, p)


@lru_cache(maxsize=1024)  # the same few degrees of freedom are asked for again and again
def student_quantile(p: float, df: float) -> float:
    """Student's t quantile for ``0 < p < 1`` and ``df`` degrees of freedom (need not be whole)."""
    if p < 0.5:
        return -student_quantile(1 - p, df)
    if df > 1e7:
        return normal_quantile(p)
    # P(|T| > t) = I_x(df/2, 1/2) with x = df / (df + t^2), and P(|T| < t) = I_y(1/2, df/2) with
    # y = 1 - x: whichever is small is solved for, since the other lies too near to 1.
    if p < 0.75:
        y = bisect(lambda value: incomplete_beta(0.5, df / 2, value) < 2 * p - 1, 0.0, 1.0)
        return math.sqrt(df * y / (1 - y))
    x = bisect(lambda value: incomplete_beta(df / 2, 0.5, value) < 2 * (1 - p), 0.0, 1.0)
    return math.sqrt(df * (1 - x) / x)

"""A distribution in few numbers: counts in buckets whose bounds grow by a constant factor.

Bucket k holds the values in (b^(k-1), b^k] with b = 2^(2^-schema); at schema 3 that is a factor of
1.09, so any quantile is known to 4.4 %. These are the buckets of Prometheus' native histograms and
of OpenTelemetry's exponential ones. Two neighbours become one, and the schema one less, when there
are too many buckets; powers of two are bounds at every schema from 0 on, so counts up to one of them
are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

__all__ = ["Sketch"]

_SCHEMA = 3
_MOST_BUCKETS = 160


class Sketch:
    """Values that are not negative, as counts.

    Attributes:
        schema: of the buckets.
        count: of all values.
        total: of all values.
        zeros: values that are 0.
    """

    __slots__ = ("_buckets", "_scale", "count", "schema", "total", "zeros")

    def __init__(self, schema: int = _SCHEMA) -> None:
        self.schema = schema
        self.count = 0
        self.total = 0.0
        self.zeros = 0
        self._buckets: dict[int, int] = {}
        self._scale = 2.0**schema

    def add(self, value: float) -> None:
        """Count a value; what is below 0 counts as 0."""
        self.count += 1
        if value <= 0:
            self.zeros += 1
            return
        self.total += value
        bucket = math.ceil(math.log2(value) * self._scale)
        buckets = self._buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1
        if len(buckets) > _MOST_BUCKETS:
            self._coarsen()

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Those that hold values, in order: the bucket's number, and how many it holds."""
        return iter(sorted(self._buckets.items()))

    def bound(self, bucket: int) -> float:
        """The largest value of a bucket."""
        return math.exp2(bucket / self._scale)

    def up_to(self, power: int) -> int:
        """How many values are at most ``2 ** power``; exact where the schema is 0 or more."""
        last = power * self._scale
        return self.zeros + sum(n for bucket, n in self._buckets.items() if bucket <= last)

    def quantile(self, q: float) -> float:
        """A value such that the share ``q`` of all is at most as large; NaN where there is none."""
        if not self.count:
            return math.nan
        rank = max(1, math.ceil(q * self.count))
        seen = self.zeros
        if seen >= rank:
            return 0.0
        for bucket, n in self.buckets():
            seen += n
            if seen >= rank:
                return math.exp2((bucket - 0.5) / self._scale)  # the geometric middle
        return math.nan

    def _coarsen(self) -> None:
        while len(self._buckets) > _MOST_BUCKETS:
            self.schema -= 1
            self._scale /= 2
            merged: dict[int, int] = {}
            for bucket, n in self._buckets.items():
                upper = -(-bucket // 2)
                merged[upper] = merged.get(upper, 0) + n
            self._buckets = merged

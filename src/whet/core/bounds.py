"""Bounds that hold wherever a figure may come from: a contract, an option or a hostile manifest."""

from __future__ import annotations

__all__ = ["MOST_BYTES", "MOST_PARALLEL", "MOST_ROWS", "MOST_SEED"]

MOST_ROWS = 4096  # of one request
MOST_PARALLEL = 4096  # threads, or requests at once
MOST_BYTES = (1 << 63) - 1  # JSON in a bundle holds no larger integer
MOST_SEED = (1 << 31) - 1  # generators take 32 bits, and some get the next number

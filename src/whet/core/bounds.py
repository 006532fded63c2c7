"""Bounds that hold wherever a figure may come from: a contract, an option or a hostile manifest."""

from __future__ import annotations

__all__ = ["MOST_BYTES", "MOST_PARALLEL", "MOST_ROWS"]

MOST_ROWS = 4096  # of one request
MOST_PARALLEL = 4096  # threads, or requests at once
MOST_BYTES = (1 << 63) - 1  # JSON in a bundle holds no larger integer

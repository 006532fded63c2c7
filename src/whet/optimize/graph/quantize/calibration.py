"""Calibration inputs: single rows, drawn once by seed and streamed every time.

One row at a time, because NNCF's statistics are per call, because rows of
unequal length are never padded then, and because it bounds the memory: what
is alive is one row and the activations of one row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from whet.core.artifact import Artifact
from whet.core.context import Context, Feed
from whet.core.spec import Arrays
from whet.errors import InputError, RequirementError

__all__ = ["Rows", "need_rows"]


class Rows:
    """``count`` rows of a feed, in the feed's order, each as a batch of one.

    Can be iterated any number of times; every time the same rows come.
    """

    def __init__(self, feed: Feed, count: int, seed: int) -> None:
        total = len(feed)
        self._feed = feed
        self._chosen = _draw(total, min(count, total), seed)

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Arrays]:
        for place in range(len(self._chosen)):
            yield self._feed.rows(self._chosen[place : place + 1])


def _draw(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """``count`` of ``range(total)`` without repetition, ascending."""
    chosen = np.random.default_rng(seed).permutation(total)[:count]
    return np.sort(chosen).astype(np.int64)


def need_rows(graph: Artifact, ctx: Context, step: str) -> Feed:
    """The repair feed, once its first row was checked against the graph's inputs.

    Raises:
        RequirementError: no samples, or samples that the graph doesn't take.
    """
    if ctx.repair is None or len(ctx.repair) == 0:
        raise RequirementError(
            f"The pass '{step}' needs samples to calibrate on, and there are none.",
            "Give samples, or quantise dynamically or the weights alone.",
        )
    first: Mapping[str, NDArray[np.generic]] = next(iter(ctx.repair.batches(1, 1)))
    try:
        graph.signature.bind(first)
    except InputError as error:
        raise RequirementError(
            f"The samples don't fit the graph that '{step}' was given: {error.message}",
            "Put the transform's arithmetic into the graph first (fold-transform),"
            " or give samples as the network takes them.",
        ) from error
    return ctx.repair

"""What a cascade gains in the mean, and what it costs in the tail, in words."""

from __future__ import annotations

from whet.core.evidence import Means, StagedTail
from whet.report import format as fmt

__all__ = ["cascade_words"]


def cascade_words(means: Means | None, tail: StagedTail | None) -> tuple[str, ...]:
    """A sentence on the mean and one on the tail, each where it was measured."""
    found = []
    if means is not None:
        m = means
        asked = fmt.plural(m.queries, "query", "queries")
        found.append(
            f"Mean {fmt.ms(m.cascade_ms)} over {asked}; the original {fmt.ms(m.original_ms)}, the"
            f" best single variant, '{m.single}', {fmt.ms(m.single_ms)}:"
            f" {fmt.ratio(m.gain)} faster in the mean"
            f" ({fmt.ratio(m.gain_low)} to {fmt.ratio(m.gain_high)})."
        )
    if tail is not None:
        found.append(
            f"A query that goes through every stage takes the sum of them:"
            f" {fmt.percentile(tail.q)} {fmt.ms(tail.ms)}."
        )
    return tuple(found)

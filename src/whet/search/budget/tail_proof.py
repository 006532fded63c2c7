"""What proving a tail limit takes of the last race, and what to say where it got less; pure.

"p99 <= limit" is proved by counting: 459 queries without a miss, or 662 with one, whatever
the latency's distribution is. A network that takes 100 ms needs a minute for that, and so
does every engine that may be chosen. The race is sized by it and the climb leaves time for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whet.core.contract import Contract
from whet.core.evidence import Latency
from whet.core.note import Note
from whet.measure.latency_words import queries_words
from whet.measure.statistics import queries_needed
from whet.search.decisions.figures import query_ms

__all__ = ["proof_s", "too_few_notes"]

_MISSES = 1  # allowed for: one query in some hundreds is late for no fault of the engine


def proof_s(contract: Contract, medians_ms: Sequence[float], contenders: int) -> float:
    """Seconds that queries must have in the last race to prove the contract's limit; 0 without one.

    All contenders get the same time in each turn, so the slowest that may keep the limit
    decides. One whose median is above it is refuted by a few queries.

    Args:
        contract: what has to be kept.
        medians_ms: median of a query of each engine that may be chosen.
        contenders: all that run in the race.
    """
    if contract.limit_ms is None:
        return 0.0
    slowest = max((ms for ms in medians_ms if ms <= contract.limit_ms), default=0.0)
    queries = queries_needed(contract.percentile, _MISSES)
    return queries * slowest / 1e3 * contenders / contract.concurrency


def too_few_notes(contract: Contract, latency: Mapping[str, Latency]) -> tuple[Note, ...]:
    """Which contenders of the last race answered too few queries to prove the limit.

    Args:
        contract: what has to be kept.
        latency: of those that may be chosen, by name.
    """
    limit_ms = contract.limit_ms
    if limit_ms is None:
        return ()
    return tuple(
        Note(name, f"{words}: a longer --budget makes room for them.")
        for name, found in latency.items()
        if (words := queries_words(contract, found.queries)) and _may_keep(found, limit_ms)
    )


def _may_keep(found: Latency, limit_ms: float) -> bool:
    median = query_ms(found)
    return median is None or median <= limit_ms

"""Which untouched engine is "the original at its best": the fastest one that answers right; pure.

That a graph was handed to a runtime unchanged doesn't mean that the runtime computes it: one
that counts in float32 what the graph counts in int64 is fast and wrong. So every untouched
engine's answers are compared with the original's when it is first tried, and those of the best
once more on the certify samples. One that doesn't give them is a candidate like any other.
"""

from __future__ import annotations

from collections.abc import Iterable

from whet.core.contract import Contract
from whet.core.evidence import Trial, Verdict
from whet.core.note import Note
from whet.measure.footprint_clauses import footprint_clauses
from whet.measure.latency_clause import kept_latency
from whet.search.decisions.decide import promising
from whet.search.decisions.figures import ALIKE, answers_right, damage, plainest, speed
from whet.search.decisions.judged import quality_words
from whet.search.decisions.limits import overrun, roomier

__all__ = [
    "best_untouched",
    "keepers",
    "rows_to_compare",
    "samples_to_look_at",
    "stranger_note",
    "to_certify",
]

_ROWS = 64
_FEWEST = 8
_MOST_MS = 4000.0
_LOOK = 64
_SHORT_LOOK = 16
# Eager torch does about this many on two cores in 2.5 s, as long as it takes to start.
_LOOK_MACS = 10**11
_LOOK_VALUES = 10**8  # 400 MB in float32; a second or two of comparing


def samples_to_look_at(macs: int, values: int, samples: int, rows_per_sample: int) -> int:
    """Samples that the original answers before anything else: 64, fewer for a large network.

    They tell which metric fits, how long the original takes and whether it is any good. All
    trials wait for them, and how fast it is isn't known yet, so its operations decide, and how
    much there is to write and to compare.

    Args:
        macs: of one row.
        values: that it answers for one row.
        samples: there are.
        rows_per_sample: rows that belong to one sample.
    """
    by_macs, by_values = _LOOK_MACS // max(1, macs), _LOOK_VALUES // max(1, values)
    affordable = min(by_macs, by_values) // rows_per_sample
    return min(samples, max(_SHORT_LOOK, min(_LOOK, affordable)))


def rows_to_compare(original_ms: float, samples: int, rows_per_sample: int) -> int:
    """Rows of the first comparison: 64 samples, fewer where the network is slow.

    The answer to "is it within reach" must come within a minute whatever the network takes.

    Args:
        original_ms: of one row.
        samples: there are.
        rows_per_sample: rows that belong to one sample.
    """
    affordable = int(_MOST_MS / max(original_ms, 1e-6)) // rows_per_sample
    return min(samples, max(_FEWEST, min(_ROWS, affordable))) * rows_per_sample


def best_untouched(untouched: Iterable[Trial], contract: Contract, certify_n: int) -> Trial:
    """The fastest untouched trial that gives the original's answers, the plainest of those alike.

    Where none does, the fastest that probably keeps the quality floor; where none
    does that either, the one that loses least.

    Args:
        untouched: trials that ran, at least one.
        contract: what has to be kept.
        certify_n: samples of the certify part.
    """
    known = list(untouched)
    right = [t for t in known if answers_right(t)] or [
        t for t in known if promising(t, contract, certify_n)
    ]
    if right:
        return plainest(right, within=ALIKE)
    return min(known, key=lambda t: (damage(t), -speed(t)))


def to_certify(untouched: Iterable[Trial], best: Trial) -> tuple[Trial, ...]:
    """The best untouched trial, then the fastest of every other runtime that answers right."""
    ranked = sorted((t for t in untouched if answers_right(t)), key=speed, reverse=True)
    order = {best.recipe.runtime: best}
    for trial in ranked:
        order.setdefault(trial.recipe.runtime, trial)
    return tuple(order.values())


def keepers(untouched: Iterable[Trial], best: Trial, contract: Contract) -> tuple[Trial, ...]:
    """Where the best breaks a limit: those that answer right and break none, the fastest first.

    The fastest runtime may be the hungriest, or the one with the worst tail. Where all break
    one, those that come nearer to the limits on size and memory than the best, the nearest first.
    """
    if not _breaks_a_limit(best, contract):
        return ()
    right = [t for t in untouched if answers_right(t)]
    able = [t for t in right if not _breaks_a_limit(t, contract)]
    if able:
        return tuple(sorted(able, key=speed, reverse=True))
    nearer = [t for t in right if roomier(t, best, contract)]
    return tuple(sorted(nearer, key=lambda t: (overrun(t, contract), -speed(t))))


def _breaks_a_limit(trial: Trial, contract: Contract) -> bool:
    verdicts = [verdict for _, verdict, _ in footprint_clauses(trial.footprint, contract)]
    return Verdict.FAILED in (*verdicts, kept_latency(trial.latency, contract))


def stranger_note(trial: Trial) -> Note | None:
    """What the reader should know of an untouched engine that isn't the original."""
    quality = trial.certify or trial.select
    if not trial.recipe.untouched or quality is None or quality.same:
        return None
    return Note(
        trial.name,
        "The graph was not touched, but this runtime doesn't compute what the original computes"
        f" ({quality_words(quality)}). It is judged like any other candidate.",
    )

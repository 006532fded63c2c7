"""What closing will cost, from what is known so far; pure.

Every engine that may be chosen answers the whole certify part, and so does the original,
which is often the slowest of all. Before anything is timed that is a guess; with each
trial it becomes a sum of what was measured, and what the guess kept too much goes to the
climb.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from whet.core.contract import Contract
from whet.core.evidence import Trial
from whet.search.budget.budget import START_S, closing_reserve_s
from whet.search.budget.pace import start_s
from whet.search.budget.tail_proof import proof_s
from whet.search.decisions.figures import is_untouched, row_ms
from whet.search.decisions.order import FINALISTS

__all__ = ["answers_s", "closing_s", "expected_row_ms", "spare_s"]

# How much faster than the original the best untouched engine and the finalists are taken to
# be before any was timed.
_UNTOUCHED_GAIN = 2.0
_FINALIST_GAIN = 3.0
# Writing a value of an answer, reading it and comparing it with the original's, on one core: of
# class scores it is nothing, of maps of pixels more than computing them.
_COMPARE_MS = 5e-5
# Answers to certify by take longer than the same work took before, on machines that others use too.
_RESTLESS = 1.1


def closing_s(
    contract: Contract,
    certify_rows: int,
    original_ms: float,
    trials: Iterable[Trial],
    total_s: float | None,
    *,
    values: int = 0,
    due: Sequence[Trial] = (),
    answered_ms: Mapping[str, float] | None = None,
) -> float:
    """Seconds that closing will take: answers to certify by, the last race, packing.

    Args:
        contract: whose limit the last race has to prove.
        certify_rows: that each of them answers.
        original_ms: what the original takes for a row.
        trials: so far; none at the start.
        total_s: the whole budget; ``None`` for no limit.
        values: in the answer to one row.
        due: trials that would be certified if the climb ended now.
        answered_ms: what a row took when a trial, by its id, answered the select part: several at
            once, which may take longer than the one that was timed.
    """
    known = list(trials)
    ids = {trial.id for trial in due}
    timed = [(t, ms) for t in known if (ms := row_ms(t)) is not None]
    rows_ms = expected_row_ms(
        original_ms,
        untouched_ms=[ms for t, ms in timed if is_untouched(t)],
        others_ms=[ms for t, ms in timed if not is_untouched(t) and t.id not in ids],
        due_ms=[max(ms, (answered_ms or {}).get(t.id, 0.0)) for t, ms in timed if t.id in ids],
    )
    proof = proof_s(contract, [contract.batch * ms for ms in rows_ms], 1 + len(rows_ms))
    start = start_s(known)
    compared_ms = [ms + _COMPARE_MS * values for ms in rows_ms]
    answers = answers_s(certify_rows, original_ms, compared_ms, start_s=start)
    return closing_reserve_s(answers, total_s, proof, start_s=start)


def expected_row_ms(
    original_ms: float,
    *,
    untouched_ms: Sequence[float],
    others_ms: Sequence[float],
    due_ms: Sequence[float] = (),
) -> tuple[float, ...]:
    """What a row takes of the best untouched engine, then of each finalist and of one more.

    Each trial keeps time for itself and for what was there before it, so that a short
    budget isn't held back for finalists that it has no time to find. The one still to come is
    taken to be as fast as the fastest so far: a slower one wouldn't be a finalist.

    Args:
        original_ms: what the original takes for one.
        untouched_ms: what untouched engines took for one so far.
        others_ms: the same of all other candidates.
        due_ms: of those that would be certified now, which aren't always the fastest.
    """
    untouched = min(untouched_ms, default=original_ms / _UNTOUCHED_GAIN)
    known = [*due_ms, *sorted(others_ms)][:FINALISTS]
    fastest = min(known, default=min(untouched, original_ms / _FINALIST_GAIN))
    return (untouched, *known, *(fastest for _ in range(min(1, FINALISTS - len(known)))))


def answers_s(
    rows: int, original_ms: float, rows_ms: Sequence[float], *, start_s: float = START_S
) -> float:
    """Seconds until the original and all that may be chosen have answered.

    Args:
        rows: that each answers.
        original_ms: what the original takes for one.
        rows_ms: what each of the others does.
        start_s: what a process of them takes; the original's, often torch, starts as slowly as
            is usual.
    """
    answering_s = _RESTLESS * rows * (original_ms + sum(rows_ms)) / 1e3
    return answering_s + START_S + start_s * len(rows_ms)


def spare_s(left_s: float, rows: int, original_ms: float, untouched_ms: float | None) -> float:
    """Seconds that certifying a candidate may take: what proving the rest leaves.

    The original and the best untouched engine answer after it, then come the shortest race and
    packing.

    Args:
        left_s: of the whole budget.
        rows: that each answers.
        original_ms: what the original takes for one.
        untouched_ms: what the best untouched engine takes for one, where it was timed.
    """
    row_ms = original_ms + (original_ms if untouched_ms is None else untouched_ms)
    return max(0.0, left_s - closing_reserve_s(rows * row_ms / 1e3 + 2 * START_S, 0.0))

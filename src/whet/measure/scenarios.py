"""The four load scenarios, with MLPerf's names, in this process.

SingleStream and MultiStream ask again as soon as they are answered (closed loop). Server is an
open loop: queries arrive at random (Poisson) whether or not the one before is done, and
latency runs from the *scheduled* arrival, so a slow answer is paid for by those who wait
behind it. A query that waits too long is dropped; drops and errors are misses. Offline
gives all samples at once and counts rows per second.

What is decided is pure (`poisson_arrivals`, `outcome_of`); the shell around it asks and looks at the
clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import Percentile, Verdict
from whet.errors import OptionError, WhetError
from whet.measure.load.arrivals import poisson_arrivals
from whet.measure.statistics import limit_verdict, percentiles
from whet.measure.workload import Q, closed_loop, warm_up

__all__ = [
    "MultiStream",
    "Offline",
    "Outcome",
    "Scenario",
    "Server",
    "SingleStream",
    "outcome_of",
    "run_scenario",
]

_SHOWN = (50.0, 90.0, 95.0, 99.0, 99.9)
_WARM_SECONDS = 5.0
_WARM_QUERIES = 500
_NAPPING_S = 0.4e-3
_AWAKE_S = 0.1e-3


@dataclass(frozen=True)
class SingleStream:
    """One query of one row after another."""

    queries: int = 1000
    percentile: float = 90.0


@dataclass(frozen=True)
class MultiStream:
    """One query of ``samples`` rows after another."""

    queries: int = 700
    samples: int = 8
    percentile: float = 99.0


@dataclass(frozen=True)
class Server:
    """Poisson arrivals of single rows.

    Attributes:
        rate_per_s: mean rate of arrivals.
        limit_ms: that the percentile must keep.
        workers: threads that answer; as many queries run at once.
        give_up_ms: a query that has waited so long is dropped; default 10 limits.
    """

    rate_per_s: float
    limit_ms: float
    queries: int = 2000
    workers: int = 1
    percentile: float = 99.0
    give_up_ms: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Offline:
    """All samples at once, in batches as large as the inputs given."""

    samples: int = 24_576


Scenario = SingleStream | MultiStream | Server | Offline


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scenario gave.

    Attributes:
        queries: asked or scheduled.
        errors, dropped: of them; both count as misses.
        misses: queries without an answer within ``limit_ms``; errors and drops where there is none.
        percentiles: of the answered queries, as far as their number supports them.
        max_ms: of the answered queries; 0 where none was.
        throughput_per_s: rows answered per second.
        wall_s: from the first query to the last answer.
        verdict: whether the misses prove that the percentile keeps the limit; ``None`` without one.
    """

    scenario: str
    queries: int
    errors: int
    dropped: int
    misses: int
    limit_ms: float | None
    percentile: float | None
    percentiles: tuple[Percentile, ...]
    max_ms: float
    throughput_per_s: float
    verdict: Verdict | None
    first_error: str = ""
    wall_s: float = 0.0


def outcome_of(
    scenario: str,
    answered_ms: NDArray[np.float64],
    *,
    rows_per_query: int,
    wall_s: float,
    errors: int = 0,
    dropped: int = 0,
    limit_ms: float | None = None,
    percentile: float | None = None,
    first_error: str = "",
) -> Outcome:
    """Sum up a run. Unanswered queries are slower than any limit, so percentiles need their count.

    They rank above all answered ones; a percentile that falls among them is not shown.
    """
    unanswered = errors + dropped
    queries = len(answered_ms) + unanswered
    late = 0 if limit_ms is None else int((answered_ms > limit_ms).sum())
    ranked = np.concatenate([answered_ms, np.full(unanswered, np.inf)])
    wanted = _SHOWN if percentile is None else (*_SHOWN, percentile)
    shown = tuple(
        p
        if p.high_ms is None or np.isfinite(p.high_ms)
        else msgspec.structs.replace(p, high_ms=None)
        for p in percentiles([[ranked]], wanted)
        if np.isfinite(p.value_ms)
    )
    judged = limit_ms is not None and percentile is not None
    return Outcome(
        scenario=scenario,
        queries=queries,
        errors=errors,
        dropped=dropped,
        misses=late + unanswered,
        limit_ms=limit_ms,
        percentile=percentile,
        percentiles=shown,
        max_ms=float(answered_ms.max(initial=0.0)),
        throughput_per_s=len(answered_ms) * rows_per_query / wall_s if wall_s > 0 else 0.0,
        verdict=limit_verdict(queries, late + unanswered, percentile)
        if judged and percentile is not None
        else None,
        first_error=first_error,
        wall_s=wall_s,
    )


def run_scenario(
    scenario: Scenario,
    run: Callable[[Q], object],
    batches: Sequence[Q],
    *,
    rows: int = 1,
    limit_ms: float | None = None,
    seconds: float | None = None,
    seed: int = 0,
) -> Outcome:
    """Run a scenario, after a warm-up by rule.

    Args:
        scenario: which.
        run: answers one query.
        batches: queries to cycle over.
        rows: of each of them.
        limit_ms: for the closed-loop scenarios, where there is one.
        seconds: no query of a closed-loop scenario is asked after that time; the warm-up
            before it takes at most a quarter as long.
        seed: of the order.

    Raises:
        OptionError: no inputs.
        WhetError: as ``run`` refused (closed-loop scenarios; Server counts errors).
    """
    if not batches:
        raise OptionError("There is nothing to ask.", "Give at least one batch of inputs.")
    warm_s = _WARM_SECONDS if seconds is None else min(_WARM_SECONDS, seconds / 4)
    warm_up(run, batches, concurrency=1, seconds=warm_s, queries=_WARM_QUERIES)
    if isinstance(scenario, Server):
        return _serve(scenario, run, batches, rows)
    if isinstance(scenario, Offline):
        queries, percentile, limit_ms = -(-scenario.samples // rows), None, None
    else:
        queries, percentile = scenario.queries, scenario.percentile
    ms, wall_s = closed_loop(run, batches, queries, concurrency=1, seed=seed, seconds=seconds)
    return outcome_of(
        type(scenario).__name__,
        ms,
        rows_per_query=rows,
        wall_s=wall_s,
        limit_ms=limit_ms,
        percentile=percentile,
    )


class _Desk(Generic[Q]):
    """Where workers take the next scheduled query, first come first served."""

    def __init__(self, scenario: Server, run: Callable[[Q], object], batches: Sequence[Q]) -> None:
        self.arrivals = poisson_arrivals(scenario.rate_per_s, scenario.queries, scenario.seed)
        give_up = scenario.give_up_ms
        self._give_up_s = (10 * scenario.limit_ms if give_up is None else give_up) / 1e3
        self._run, self._batches = run, batches
        self._next, self._lock = 0, threading.Lock()
        self.answered_s: list[float] = []
        self.dropped = 0
        self.errors: list[str] = []
        self.begin = 0.0

    def work(self) -> None:
        """Answer queries until none is left."""
        while (query := self._take()) is not None:
            due = self.begin + float(self.arrivals[query])
            _wait_until(due)
            if time.perf_counter() - due > self._give_up_s:
                with self._lock:
                    self.dropped += 1
                continue
            try:
                self._run(self._batches[query % len(self._batches)])
            except Exception as error:  # noqa: BLE001 - an engine's own: a query unanswered is a miss
                with self._lock:
                    self.errors.append(
                        error.message if isinstance(error, WhetError) else str(error)
                    )
                continue
            late = time.perf_counter() - due
            with self._lock:
                self.answered_s.append(late)

    def _take(self) -> int | None:
        with self._lock:
            query = self._next
            self._next += 1
        return query if query < len(self.arrivals) else None


def _wait_until(due: float) -> None:
    """Return at ``due`` and not a scheduler's whim later: the asker's lateness is no latency.

    A sleep ends some 50 to 300 µs late, so the last part is waited out awake: most
    of it in naps (each about 50 µs) that let other threads have the interpreter.
    """
    wait = due - time.perf_counter()
    if wait > _NAPPING_S:
        time.sleep(wait - _NAPPING_S)
    while (wait := due - time.perf_counter()) > 0:
        if wait > _AWAKE_S:
            time.sleep(0)


def _serve(
    scenario: Server, run: Callable[[Q], object], batches: Sequence[Q], rows: int
) -> Outcome:
    desk = _Desk(scenario, run, batches)
    threads = [threading.Thread(target=desk.work) for _ in range(max(1, scenario.workers))]
    desk.begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome_of(
        type(scenario).__name__,
        np.asarray(desk.answered_s, np.float64) * 1e3,
        rows_per_query=rows,
        wall_s=time.perf_counter() - desk.begin,
        errors=len(desk.errors),
        dropped=desk.dropped,
        limit_ms=scenario.limit_ms,
        percentile=scenario.percentile,
        first_error=desk.errors[0] if desk.errors else "",
    )

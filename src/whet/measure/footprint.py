"""What a contender takes: files, load time, memory, cold start, energy."""

from __future__ import annotations

import statistics
import time

import msgspec
import numpy as np

from whet.core.evidence import Footprint
from whet.core.note import Note
from whet.core.spec import Arrays
from whet.data.layout import StoreRef
from whet.errors import MeasurementError, OptionError
from whet.measure.contender import Contender
from whet.measure.energy import Meter, energy_per_query, find_meter
from whet.measure.process import ContenderProcess

__all__ = ["cold_start_ms", "measure_footprint", "same_answers"]

_ENERGY_S = 2.0
_ENERGY_QUERIES = 1_000_000
# Two starts of one engine may differ by the order of sums, not by more.
_TOLERANCE = 1e-3


def measure_footprint(
    contender: Contender,
    feed: StoreRef,
    *,
    batch: int,
    cores: tuple[int, ...] | None = None,
    memory_bytes: int | None = None,
    timeout_s: float = 180.0,
    cold_starts: int = 3,
    warm_seconds: float = 3.0,
) -> Footprint:
    """Open the contender in fresh processes and look at what it takes.

    Args:
        contender: with its engine compiled, or the cold start would time compiling.
        feed: samples to run.
        batch: rows per query.
        cores: that it may run on.
        memory_bytes: limit on its resident memory.
        timeout_s: limit on each step.
        cold_starts: fresh processes to time; 0 leaves the cold start out.
        warm_seconds: limit on the warm-up before memory is read.

    Raises:
        TrialError, EngineError: as the process ended.
        MeasurementError: two starts gave different answers.
    """

    def process() -> ContenderProcess:
        return ContenderProcess(
            contender,
            feed,
            batch=batch,
            memory_bytes=memory_bytes,
            timeout_s=timeout_s,
            cores=cores,
        )

    meter, unknown = find_meter()
    with process() as running:
        expected = running.first_answer()
        running.warm_up(seconds=warm_seconds)
        found = running.footprint()
        energy = None if meter is None else _energy(meter, running)
    notes = (*found.notes, *((unknown,) if unknown is not None else ()))
    cold = None
    if cold_starts and contender.engine is None:
        notes += (Note("cold start", "It was not timed: the engine is not compiled ahead."),)
    elif cold_starts:
        cold = statistics.median(_cold_start(process(), expected) for _ in range(cold_starts))
    return msgspec.structs.replace(found, cold_start_ms=cold, energy_mj=energy, notes=notes)


def cold_start_ms(
    contender: Contender,
    feed: StoreRef,
    expected: Arrays,
    *,
    batch: int,
    repeats: int = 3,
    cores: tuple[int, ...] | None = None,
    timeout_s: float = 180.0,
) -> float:
    """Median time from exec of a fresh process to its first correct answer.

    Starting Python, importing the runtime, opening the engine and one batch are in it. The
    engine's files are in the system's page cache, as after a restart of a service.

    Args:
        contender: with its engine compiled.
        feed: samples; the first batch of the contender's inputs is asked.
        expected: the right answer to that batch.
        batch: rows per query.
        repeats: fresh processes.
        cores: that it may run on.
        timeout_s: limit on each step.

    Raises:
        OptionError: the engine is not compiled.
        MeasurementError: the first answer is not the expected one.
    """
    if contender.engine is None:
        raise OptionError(
            f"'{contender.name}' has no compiled engine to start.", "Compile it first."
        )
    times = [
        _cold_start(
            ContenderProcess(contender, feed, batch=batch, timeout_s=timeout_s, cores=cores),
            expected,
        )
        for _ in range(repeats)
    ]
    return statistics.median(times)


def _cold_start(process: ContenderProcess, expected: Arrays) -> float:
    with process:
        answer = process.first_answer()
        ms = (time.perf_counter_ns() - process.started_ns) / 1e6
    if not same_answers(answer, expected):
        raise MeasurementError(
            f"The first answer of '{process.contender.name}' after a fresh start is not the expected"
            " one.",
            "Don't use this engine: it answers differently from start to start.",
        )
    return ms


def same_answers(answer: Arrays, expected: Arrays) -> bool:
    """Whether two answers agree but for the order of sums (a thousandth of the largest value)."""
    if set(answer) != set(expected):
        return False
    for name, want in expected.items():
        have = answer[name]
        if have.shape != want.shape:
            return False
        right = want.astype(np.float64)
        scale = float(np.abs(right).max(initial=0.0))
        if not np.allclose(
            have.astype(np.float64), right, rtol=_TOLERANCE, atol=_TOLERANCE * scale
        ):
            return False
    return True


def _energy(meter: Meter, running: ContenderProcess) -> float:
    return energy_per_query(meter, lambda: len(running.timed(_ENERGY_QUERIES, 0, _ENERGY_S).ms))

"""One engine's outputs on every row of a part of the samples, kept on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from whet.core.room import written
from whet.core.spec import Arrays
from whet.data.store import SampleStore
from whet.measure.answers import load_outputs
from whet.measure.contender import Contender
from whet.measure.process import ContenderProcess

__all__ = ["USUAL_ROWS", "answers_of", "kept_answers", "seconds_of"]

# Rows given at once where the batch axis is free: amortises the call, keeps memory small.
USUAL_ROWS = 16
_SECONDS = "seconds.txt"
_LAST_S = 1.0  # an engine that took all its time to open gets this long to answer


def answers_of(
    contender: Contender,
    part: SampleStore,
    place: Path,
    *,
    cores: tuple[int, ...],
    memory_bytes: int | None,
    limit_s: float,
    batch: int = 1,
    rows: int | None = None,
    while_waiting: Callable[[], None] | None = None,
) -> Arrays:
    """Run every row of ``part`` once and return the outputs by name, in order.

    Args:
        contender: the engine.
        part: the samples.
        place: folder for the answers; if it is there already nothing is run.
        cores: to run on.
        memory_bytes: limit of the process.
        limit_s: for everything, the start of the process included.
        batch: of the contract. Rows needn't be independent (int8 that scales each batch as a
            whole), so no fewer than these are given at once, else `USUAL_ROWS`; as many as
            the engine's fixed batch asks for; or 1 where rows differ in length and padding
            could change the answer.
        rows: at once, whatever ``batch`` says.
        while_waiting: called several times a second; may raise to give up.

    Raises:
        TrialError, EngineError: as the process ended; `TrialTimeoutError` past the limit.
        StorageError: the answers can't be written.
    """
    if not place.is_dir():
        beside = place.with_name(place.name + ".part")
        shutil.rmtree(beside, ignore_errors=True)
        with written(_refused(contender), place.parent):
            beside.mkdir(parents=True)
        until = time.monotonic() + limit_s
        at_once = rows or _rows(contender, part, batch)
        with ContenderProcess(
            contender,
            part.ref(),
            batch=at_once,
            memory_bytes=memory_bytes,
            timeout_s=limit_s,
            cores=cores,
            while_waiting=while_waiting,
        ) as process:
            began = time.monotonic()
            process.outputs(
                part.ref(),
                beside,
                batch=at_once,
                timeout_s=max(_LAST_S, until - began),
            )
            seconds = time.monotonic() - began
        with written(_refused(contender), place.parent):
            (beside / _SECONDS).write_text(f"{seconds:.3f}")
            beside.replace(place)
    return load_outputs(place)


def kept_answers(place: Path) -> Arrays | None:
    """The answers kept at ``place``, if there are any."""
    return load_outputs(place) if place.is_dir() else None


def seconds_of(place: Path) -> float:
    """How long the answers kept at ``place`` took, without the start of the process."""
    return float((place / _SECONDS).read_text())


def _refused(contender: Contender) -> str:
    return f"The answers of '{contender.name}' can't be kept"


def _rows(contender: Contender, part: SampleStore, batch: int) -> int:
    symbol = contender.graph.signature.batch_symbol
    if symbol is None:
        shape = contender.graph.signature.inputs[0].shape
        return int(shape[0]) if shape and isinstance(shape[0], int) else 1
    fixed = contender.settings.fixed.get(symbol)
    if fixed is not None:
        return fixed
    ragged = any(isinstance(d, str) for spec in part.inputs for d in spec.shape[1:])
    return 1 if ragged else max(batch, USUAL_ROWS)

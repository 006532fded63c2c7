"""Timing and judging of one candidate's engine, by `whet.measure`. A thin shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from whet.core.evidence import LayerTime, Quality, Trial
from whet.core.spec import Arrays
from whet.data.store import SampleStore
from whet.measure.clock import ClockPlan, Race, race
from whet.measure.contender import Contender
from whet.measure.likeness import check_alike_in_form, untouched_quality
from whet.measure.process import ContenderProcess
from whet.search.answers import USUAL_ROWS, answers_of, kept_answers, seconds_of
from whet.search.budget.patience import answer_limit_s, step_limit_s
from whet.search.decisions.figures import is_untouched, row_ms
from whet.search.decisions.untouched import rows_to_compare
from whet.search.judging import judged_as_asked
from whet.search.setup import Setup
from whet.search.workers.jobs import Made

__all__ = [
    "answers_on",
    "ask_original",
    "compare_untouched",
    "contender_of",
    "judge_on",
    "layers_of",
    "quick_plan",
    "time_all",
]


# A slow network answers some hundred queries in this time; a fast one is done long before.
_QUICK_S = 9.0


def contender_of(trial: Trial, made: Made) -> Contender:
    """The measurable form of a trial's engine."""
    return Contender(
        trial.name, trial.recipe.runtime, made.graph, made.engine, trial.recipe.settings
    )


def time_all(
    setup: Setup,
    contenders: Sequence[Contender],
    plan: ClockPlan,
    *,
    while_waiting: Callable[[], None] | None = None,
) -> Race:
    """Interleaved latency of several engines, on the select samples.

    Args:
        setup: of this search.
        contenders: with different names.
        plan: how often and how long.
        while_waiting: called after each round; may raise to give up.
    """
    return race(
        contenders,
        setup.select.ref(),
        plan,
        on_round=(lambda *_: while_waiting()) if while_waiting is not None else None,
        cores=setup.cores,
        memory_bytes=setup.memory_bytes,
    )


def quick_plan(setup: Setup, left_s: float) -> ClockPlan:
    """Enough rounds to rank candidates; finalists are timed again in full.

    Args:
        setup: of this search.
        left_s: that a step of an engine that hangs may take.
    """
    contract = setup.contract
    plan = ClockPlan.quick(
        batch=contract.batch,
        concurrency=contract.concurrency,
        percentile=contract.percentile,
        seed=setup.seed,
        seconds=_QUICK_S,
    )
    limit_s = step_limit_s(
        contract.batch * contract.concurrency, original_ms=setup.original_ms, left_s=left_s
    )
    return msgspec.structs.replace(plan, timeout_s=limit_s)


def judge_on(
    setup: Setup,
    trial: Trial,
    make: Callable[[], Made],
    part: SampleStore,
    *,
    left_s: float,
    per_class: bool = False,
    while_waiting: Callable[[], None] | None = None,
) -> Quality:
    """Compare a trial's answers with the original's on one part of the samples.

    Answers are kept, so that the same samples under another floor or metric ask
    nothing again: on the select part by recipe, which needs no engine then; on
    the certify part by the very graph that is certified.

    Args:
        setup: of this search.
        trial: whose recipe is judged.
        make: gives its engine, where it is needed.
        part: select or certify.
        left_s: that may be spent on it (see `whet.search.budget.patience`).
        per_class: also compare class by class.
        while_waiting: called several times a second; may raise to give up.

    Raises:
        TrialError, EngineError: as its process ended, or the original's.
    """
    got = answers_on(setup, trial, make, part, left_s=left_s, while_waiting=while_waiting)
    original = ask_original(setup, part, left_s=left_s, while_waiting=while_waiting)
    return _judged(setup, trial, original, got, part, per_class=per_class)


def answers_on(
    setup: Setup,
    trial: Trial,
    make: Callable[[], Made],
    part: SampleStore,
    *,
    left_s: float,
    while_waiting: Callable[[], None] | None = None,
) -> Arrays:
    """A trial's answers on one part of the samples, kept as `judge_on` says.

    Raises:
        TrialError, EngineError: as its process ended.
    """
    answers = setup.workdir / "answers"
    place = (
        answers / "certify" / f"{trial.id}-{make().graph.digest()[:16]}"
        if part is setup.certify
        else answers / "select" / trial.id
    )
    return _answers(setup, trial, make, part, place, left_s, while_waiting)


def answered_ms(setup: Setup, trial: Trial) -> float | None:
    """What a row took when the trial answered the select part; ``None`` where it hasn't."""
    place = _kept_at(setup, setup.workdir / "answers" / "select" / trial.id)
    return seconds_of(place) * 1e3 / max(1, len(setup.select)) if place.is_dir() else None


def ask_original(
    setup: Setup,
    part: SampleStore,
    *,
    left_s: float,
    while_waiting: Callable[[], None] | None = None,
) -> Arrays:
    """The original's answers on one part, computed once for all trials.

    Args:
        setup: of this search.
        part: select or certify.
        left_s: that may be spent on it.
        while_waiting: called several times a second; may raise to give up.

    Raises:
        TrialError: as its process ended.
    """
    limit_s = answer_limit_s(
        len(part),
        original_ms=setup.original_ms,
        own_ms=None,
        left_s=left_s,
        must=True,
    )
    return setup.references.outputs(part, while_waiting, limit_s=limit_s)


def compare_untouched(
    setup: Setup,
    trial: Trial,
    make: Callable[[], Made],
    *,
    left_s: float,
    while_waiting: Callable[[], None] | None = None,
) -> Quality:
    """Compare an untouched engine's first answers with the original's.

    A few rows of the select part show whether it computes the original at all. If it
    doesn't, it is judged on the whole part, like any other candidate.

    Args:
        setup: of this search.
        trial: an untouched one.
        make: gives its engine, where it is needed.
        left_s: that may be spent on it.
        while_waiting: called several times a second; may raise to give up.

    Raises:
        TrialError: as its process ended.
        EngineError: its outputs don't have the original's names and shapes.
    """
    look = setup.look
    rows = rows_to_compare(setup.original_ms, look.samples, look.rows_per_sample)
    few = look.subset(np.arange(rows // look.rows_per_sample), setup.workdir / f"few-{rows}.npy")
    place = setup.workdir / "answers" / "untouched" / f"{trial.id}-{rows}"
    got = _answers(setup, trial, make, few, place, left_s, while_waiting)
    # A sequence output is padded to the longest row of its part, so it is cut to these rows'.
    original = {
        name: _cut(array[:rows], got[name].shape if name in got else array.shape)
        for name, array in setup.references.outputs(look, while_waiting).items()
    }
    found = _judged(setup, trial, original, got, few)
    if found.same:
        return found
    return judge_on(setup, trial, make, setup.select, left_s=left_s, while_waiting=while_waiting)


def _cut(array: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Without the padding that longer rows, which aren't here, asked for."""
    if array.ndim != len(shape) or array.shape[1:] == shape[1:]:
        return array
    inner = tuple(slice(size) for size in shape)
    rest = array.copy()
    rest[inner] = 0
    return array if rest.any() else array[inner]


def _kept_at(setup: Setup, place: Path) -> Path:
    """Where answers are kept: others for a contract with larger batches than are usual."""
    batch = setup.contract.batch
    return place.with_name(f"{place.name}-by-{batch}") if batch > USUAL_ROWS else place


def _answers(
    setup: Setup,
    trial: Trial,
    make: Callable[[], Made],
    part: SampleStore,
    place: Path,
    left_s: float,
    while_waiting: Callable[[], None] | None,
) -> Arrays:
    place, batch = _kept_at(setup, place), setup.contract.batch
    got = kept_answers(place)
    if got is not None:
        return got
    return answers_of(
        contender_of(trial, make()),
        part,
        place,
        batch=batch,
        cores=setup.cores,
        memory_bytes=setup.memory_bytes,
        limit_s=answer_limit_s(
            len(part),
            original_ms=setup.original_ms,
            own_ms=row_ms(trial),
            left_s=left_s,
            must=is_untouched(trial),
        ),
        while_waiting=while_waiting,
    )


def _judged(
    setup: Setup,
    trial: Trial,
    original: Arrays,
    got: Arrays,
    part: SampleStore,
    *,
    per_class: bool = False,
) -> Quality:
    ignore = setup.contract.ignore_outputs
    if is_untouched(trial):
        check_alike_in_form(original, got, ignore)
    quality = judged_as_asked(
        setup,
        original,
        got,
        part.labels,
        rows_per_sample=part.rows_per_sample,
        per_class=per_class,
    )
    return untouched_quality(quality, original, got, ignore) if is_untouched(trial) else quality


def layers_of(
    setup: Setup, trial: Trial, made: Made, *, limit_s: float = 120.0
) -> tuple[LayerTime, ...]:
    """Where a trial's time goes, layer by layer, in a fresh process.

    Args:
        setup: of this search.
        trial: that ran.
        made: its engine.
        limit_s: on each step of the process.

    Raises:
        TrialError, EngineError: as the process ended.
    """
    with ContenderProcess(
        contender_of(trial, made),
        setup.select.ref(),
        batch=setup.contract.batch,
        memory_bytes=setup.memory_bytes,
        timeout_s=limit_s,
        cores=setup.cores,
    ) as process:
        return process.layers()

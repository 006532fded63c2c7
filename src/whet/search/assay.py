"""Timing and judging of one candidate's engine, by `whet.measure`. A thin shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from whet.core.contract import Contract
from whet.core.evidence import LayerTime, Quality, Trial
from whet.data.store import SampleStore
from whet.measure.clock import ClockPlan, Race, race
from whet.measure.contender import Contender
from whet.measure.process import ContenderProcess
from whet.measure.quality import judge
from whet.search.answers import answers_of, kept_answers
from whet.search.jobs import Made
from whet.search.setup import Setup

__all__ = ["contender_of", "judge_on", "layers_of", "quick_plan", "time_all"]


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


def quick_plan(contract: Contract, seed: int) -> ClockPlan:
    """Enough rounds to rank candidates; finalists are timed again in full."""
    return ClockPlan.quick(
        batch=contract.batch,
        concurrency=contract.concurrency,
        percentile=contract.percentile,
        seed=seed,
        seconds=_QUICK_S,
    )


def judge_on(
    setup: Setup,
    trial: Trial,
    make: Callable[[], Made],
    part: SampleStore,
    *,
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
        per_class: also compare class by class.
        while_waiting: called several times a second; may raise to give up.
    """
    certify = part is setup.certify
    answers = setup.workdir / "answers"
    place = (
        answers / "certify" / f"{trial.id}-{make().graph.digest()[:16]}"
        if certify
        else answers / "select" / trial.id
    )
    got = kept_answers(place)
    if got is None:
        got = answers_of(
            contender_of(trial, make()),
            part,
            place,
            cores=setup.cores,
            memory_bytes=setup.memory_bytes,
            while_waiting=while_waiting,
        )
    return judge(
        setup.metric,
        setup.references.outputs(part, while_waiting),
        got,
        part.labels,
        rows_per_sample=part.rows_per_sample,
        max_drop=setup.contract.max_drop,
        confidence=setup.contract.confidence,
        per_class=per_class,
        task=setup.task,
        seed=setup.seed,
    )


def layers_of(setup: Setup, trial: Trial, made: Made) -> tuple[LayerTime, ...]:
    """Where a trial's time goes, layer by layer, in a fresh process.

    Raises:
        TrialError, EngineError: as the process ended.
    """
    with ContenderProcess(
        contender_of(trial, made),
        setup.select.ref(),
        batch=setup.contract.batch,
        memory_bytes=setup.memory_bytes,
        timeout_s=120.0,
        cores=setup.cores,
    ) as process:
        return process.layers()

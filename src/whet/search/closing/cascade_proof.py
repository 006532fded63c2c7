"""A proposed cascade, certified in its place among the finalists and timed. A thin shell.

It is one more hypothesis on the certify samples and takes its place in their fixed order, before
the first finalist that is less likely to pass (docs/adr/0011). What is certified is the executed
cascade, and it is packed only where its mean is shown below that of every single engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from whet.core.evidence import CascadeTrial, Quality, StagedTail, Status, Trial, Verdict
from whet.core.points import shared_percentile
from whet.core.room import temporary_folder
from whet.errors import StorageError, WhetError
from whet.measure.answers import load_outputs
from whet.measure.contender import Contender, Early, Stages
from whet.measure.process import ContenderProcess
from whet.search.budget.patience import answer_limit_s, step_limit_s
from whet.search.budget.staging import queries_that_fit
from whet.search.closing.cascade import NAME, Proposed, stage_records
from whet.search.closing.mean_race import RESTARTS, in_turns, means_of
from whet.search.closing.proving import certified_in_turn
from whet.search.decisions.decide import chance
from whet.search.judging import judged_as_mixed
from whet.search.ladder.assay import ask_original, contender_of
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup

__all__ = ["certified_with", "staged"]


def certified_with(
    setup: Setup,
    trials: Trials,
    order: Sequence[Trial],
    untouched_ms: float | None,
    proposed: Proposed | None,
) -> tuple[list[Trial], Proposed | None]:
    """Certify the finalists in turn with the cascade in its place among them.

    Args:
        setup: of the search.
        trials: where the verdicts are kept.
        order: the finalists, the likeliest to pass first.
        untouched_ms: what the best untouched engine takes for a row, where it was timed.
        proposed: the cascade, if there is one.

    Returns:
        The finalists that were tested, and the cascade with what came of it.
    """
    if proposed is None:
        return certified_in_turn(setup, trials, order, untouched_ms), None
    certify_n = setup.certify.samples
    less = (k for k, t in enumerate(order) if chance(t, certify_n) < proposed.chance)
    place = next(less, len(order))
    done = certified_in_turn(setup, trials, order[:place], untouched_ms)
    if not _all_passed(done):
        behind = "not tested, since a finalist before it did not pass"
        record = msgspec.structs.replace(proposed.record, lost=behind)
        return done, replace(proposed, record=record)
    proposed = _certified(setup, trials, proposed)
    tested = proposed.record.certify is not None
    if not tested or proposed.proven:
        done += certified_in_turn(setup, trials, order[place:], untouched_ms)
    return done, proposed


def _all_passed(done: Iterable[Trial]) -> bool:
    return all(t.certify is not None and t.certify.verdict is Verdict.PASSED for t in done)


def _certified(setup: Setup, trials: Trials, proposed: Proposed) -> Proposed:
    """Executed on the certify samples: its verdict, and where rows left."""
    part, record = setup.certify, proposed.record
    try:
        quality, left = _executed(setup, trials, proposed)
    except StorageError:
        raise
    except WhetError as error:
        lost = f"it was not certified: {error.message}"
        return replace(proposed, record=msgspec.structs.replace(record, lost=lost))
    passed = quality.verdict is Verdict.PASSED
    record = msgspec.structs.replace(
        record,
        certify=quality,
        stages=stage_records(proposed.stages, proposed.gates, left),
        lost=""
        if passed
        else f"its quality on the {part.samples} certify samples: {quality.verdict}",
    )
    return replace(proposed, record=record)


def _executed(setup: Setup, trials: Trials, proposed: Proposed) -> tuple[Quality, tuple[int, ...]]:
    part, batch = setup.certify, setup.contract.batch
    contender = _contender(trials, proposed)
    left_s = trials.budget.left_s(time.monotonic())
    limit_s = answer_limit_s(
        len(part),
        original_ms=setup.original_ms,
        own_ms=proposed.mean_ms / batch,
        left_s=trials.climbing_s(),
    )
    original = ask_original(setup, part, left_s=left_s)
    with (
        temporary_folder("whet-cascade-") as folder,
        ContenderProcess(
            contender,
            part.ref(),
            batch=batch,
            memory_bytes=setup.memory_bytes,
            timeout_s=limit_s,
            cores=setup.cores,
        ) as process,
    ):
        got = load_outputs(process.outputs(part.ref(), folder / "answers", batch=batch))
        left = process.left()
        quality = judged_as_mixed(setup, original, got, part.labels, per_class=True)
    return quality, left


def _contender(trials: Trials, proposed: Proposed) -> Contender:
    *early, last = (contender_of(t, trials.made_for(t)) for t in proposed.stages)
    stages = Stages(tuple(map(Early, early, proposed.gates)), proposed.confidence)
    return msgspec.structs.replace(last, name=NAME, stages=stages)


def staged(
    setup: Setup,
    trials: Trials,
    proposed: Proposed | None,
    now: Mapping[str, Trial],
    singles: Iterable[Trial],
) -> CascadeTrial | None:
    """What became of a cascade: with its mean and tail where it was certified.

    Args:
        setup: of the search.
        trials: to make the engines.
        proposed: the cascade, if there was one.
        now: all trials as the last race and the goldens left them.
        singles: the best untouched trial, then the finalists.
    """
    if proposed is None or not proposed.proven:
        return proposed.record if proposed is not None else None
    stages = [now[t.id] for t in proposed.stages]
    failed = [t.name for t in stages if t.status is not Status.OK]
    if failed:
        lost = f"its stage {failed[0]} failed in the last race or gave no golden answers"
        return msgspec.structs.replace(proposed.record, lost=lost)
    trials.tell.phase("timing the cascade")
    baseline, *others = (now[t.id] for t in singles)
    sound = [t for t in others if t.status is Status.OK and _all_passed([t])]
    return _timed(setup, trials, proposed, stages, baseline, sound)


def _timed(
    setup: Setup,
    trials: Trials,
    proposed: Proposed,
    stages: Sequence[Trial],
    baseline: Trial,
    singles: Sequence[Trial],
) -> CascadeTrial:
    """Its record with its mean and tail, and why it isn't packed if it isn't."""
    record = msgspec.structs.replace(proposed.record, tail=_tail(setup, stages))
    every = [t for t in (baseline, *singles) if t.latency is not None]
    single = min(every, key=lambda t: t.latency.mean_ms if t.latency is not None else 0.0)
    try:
        three = {t.id: contender_of(t, trials.made_for(t)) for t in (baseline, single)}
        contenders = [_contender(trials, proposed), *three.values()]
        each_ms = [proposed.mean_ms] + [
            t.latency.mean_ms for t in every if t.id in three and t.latency is not None
        ]
        batch, left_s = setup.contract.batch, trials.budget.left_s(time.monotonic())
        queries = queries_that_fit(len(setup.certify) // batch, RESTARTS * sum(each_ms), left_s)
        turned = in_turns(
            contenders,
            setup.certify,
            batch=batch,
            queries=queries,
            cores=setup.cores,
            memory_bytes=setup.memory_bytes,
            timeout_s=step_limit_s(batch, original_ms=setup.original_ms, left_s=left_s),
            seed=setup.seed,
        )
    except StorageError:
        raise
    except WhetError as error:
        return msgspec.structs.replace(record, lost=f"its mean was not measured: {error.message}")
    means = means_of(turned, NAME, baseline.name, single.name, batch)
    quicker = means.gain_low > 1
    lost = "" if quicker else f"its mean is not shown to be below that of {single.name}"
    return msgspec.structs.replace(record, means=means, lost=lost)


def _tail(setup: Setup, stages: Sequence[Trial]) -> StagedTail | None:
    """The sum of the stages' percentiles, of the contract's or the highest below that all have."""
    found = [t.latency for t in stages if t.latency is not None]
    q = shared_percentile([f.percentiles for f in found], setup.contract.percentile)
    points = [point for f in found if (point := f.at(q)) is not None]
    if len(points) < len(stages):
        return None
    return StagedTail(q, sum(point.value_ms for point in points))

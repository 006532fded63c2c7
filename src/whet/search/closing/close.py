"""The end of a search: certify the finalists, time them in full, choose.

The certify part is touched here and nowhere else, and once: finalists are
certified in a fixed order and the sequence stops at the first
that isn't passed (see `whet.search.closing.proving`). All finalists, the
best untouched engines and the original are then timed afresh, interleaved
(`whet.search.closing.last_race`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from whet.core.evidence import CascadeTrial, Latency, LayerTime, Ratio, Status, Trial, Verdict
from whet.core.note import Note
from whet.errors import MeasurementError, WhetError
from whet.measure.clock import Race
from whet.measure.footprint import measure_footprint
from whet.search.budget.extras import cold_starts_that_fit, layers_fit, left_out
from whet.search.budget.patience import step_limit_s
from whet.search.budget.tail_proof import too_few_notes
from whet.search.closing.cascade import propose
from whet.search.closing.cascade_proof import certified_with, staged
from whet.search.closing.goldens import Recorded, record
from whet.search.closing.last_race import race_in_full, rivals_of
from whet.search.closing.proving import answering, fastest_answering, keeping
from whet.search.decisions.decide import choose
from whet.search.decisions.endings import ended
from whet.search.decisions.figures import answers_right, divided, is_untouched, row_ms
from whet.search.decisions.frontier import frontier, of_use
from whet.search.decisions.order import FINALISTS, certify_order
from whet.search.ladder.assay import contender_of, layers_of
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.words.reasons import why_lost

__all__ = ["Closed", "close"]

_TIMED = "timing the original"


@dataclass(frozen=True)
class Closed:
    """What was decided.

    Attributes:
        chosen: the trial that the bundle serves by default.
        verdict: whether it keeps the contract.
        baseline: the best untouched trial, timed again.
        finalists: what the bundle holds, from most accurate to fastest.
        trials: all, each with why it lost.
        eager: latency of the original in torch, where there is one.
        layers: where the chosen engine's time goes.
        unrest: why the last race was not quiet; empty where it was.
        goldens: what the bundle is replayed with.
        cascade: of finalists, which then hold its stages; why it isn't packed stands in it.
    """

    chosen: Trial
    verdict: Verdict
    baseline: Trial
    finalists: tuple[Trial, ...]
    trials: tuple[Trial, ...]
    eager: Latency | None
    layers: tuple[LayerTime, ...]
    notes: tuple[Note, ...]
    unrest: str
    goldens: Recorded
    cascade: CascadeTrial | None = None


def close(setup: Setup, trials: Trials, baseline: Trial) -> Closed:
    """Certify, time again, choose, and say of every other trial why it lost."""
    contract = setup.contract
    cascade = propose(setup, trials, baseline)
    trials.tell.phase("certifying the finalists")
    order = certify_order(trials.all.values(), contract, setup.certify.samples, FINALISTS)
    certified, proposed = certified_with(setup, trials, order, row_ms(baseline), cascade)
    stages = proposed.stages if proposed is not None and proposed.proven else ()
    baseline = answering(setup, trials, baseline, certified)
    keeps = keeping(setup, trials, baseline)
    trials.tell.phase("timing the finalists against the original")
    rivals = rivals_of(baseline, filter(answers_right, trials.untouched()))
    untouched = list({t.id: t for t in (baseline, *keeps, *rivals)}.values())
    finalists = list({t.id: t for t in (*untouched, *certified, *stages)}.values())
    race = race_in_full(setup, trials, finalists)
    notes = (
        *_told(race, setup.references.original.name),
        *too_few_notes(
            contract, {t.name: found for t in finalists if (found := race.latency.get(t.name))}
        ),
    )
    baseline = fastest_answering(setup, trials, race, untouched)
    quick = baseline.speedup
    _record(trials, race, baseline, finalists)
    baseline = trials.all[baseline.id]
    trials.tell.phase("recording answers to replay")
    proven = [t for t in untouched if trials.all[t.id].certify is not None]
    goldens = record(setup, trials, _sound(trials, (baseline, *proven, *certified, *stages)))
    compared = [
        msgspec.structs.replace(t, speedup=_against(t, baseline.name, quick))
        for t in trials.all.values()
    ]
    chosen, verdict = choose(compared, contract, baseline)
    front = {t.id for t in frontier(compared)}
    everyone = tuple(
        msgspec.structs.replace(
            t, frontier=t.id in front, lost=why_lost(t, chosen, contract, baseline)
        )
        for t in compared
    )
    by_id = {t.id: t for t in everyone}
    sound = _sound(trials, (baseline, chosen, *certified))
    tried = staged(setup, trials, proposed, by_id, (baseline, *certified))
    kept = of_use([by_id[t.id] for t in sound], chosen)
    if tried is not None and not tried.lost:
        kept = tuple({t.id: t for t in (*kept, *(by_id[s.trial] for s in tried.stages))}.values())
    trials.tell.phase("looking closer at the chosen one")
    layers, more = _layers(setup, trials, by_id[chosen.id], len(kept))
    by_id[chosen.id], noted = _cold(setup, trials, by_id[chosen.id], len(kept))
    everyone = tuple(by_id[t.id] for t in everyone)
    more = (*more, *noted)
    return Closed(
        chosen=by_id[chosen.id],
        verdict=verdict,
        baseline=by_id[baseline.id],
        finalists=tuple(by_id[t.id] for t in kept),
        trials=everyone,
        eager=race.latency.get(setup.references.original.name),
        layers=layers,
        notes=(*notes, *goldens.notes, *more),
        unrest=race.unrest,
        goldens=goldens,
        cascade=tried,
    )


def _told(race: Race, original: str) -> list[Note]:
    """The race's notes and failures; those on the original's latency aren't on its score."""
    notes = (*race.notes, *(Note(name, error.message) for name, error in race.failures.items()))
    return [Note(_TIMED, n.reason) if n.where == original else n for n in notes]


def _record(trials: Trials, race: Race, baseline: Trial, finalists: Iterable[Trial]) -> None:
    """Give the finalists what the last race said of them, as ratios to the baseline.

    A candidate that failed in it ran once and may not again: it is out, whatever it proved.
    """
    for trial in finalists:
        if trial.name in race.failures and not is_untouched(trial):
            failed = ended(trials.all[trial.id], race.failures[trial.name])
            trials.update(failed, remember=False)
    if baseline.name not in race.latency:
        return  # it failed, as the race's notes say; the quick timings stand
    for trial in finalists:
        if trial.name not in race.latency:
            continue
        latency = race.latency[trial.name]
        own = trial.id == baseline.id
        try:
            footprint = trials.footprint(
                trial, trials.made_for(trial), latency, race.footprints[trial.name]
            )
        except MeasurementError as error:
            if own:
                raise  # all ratios are to it: nothing that this race says can be believed
            trials.update(ended(trials.all[trial.id], error), remember=False)
            continue
        updated = msgspec.structs.replace(
            trials.all[trial.id],
            latency=latency,
            speedup=race.ratio(baseline.name, trial.name),
            tail=None if own else race.tail(baseline.name, trial.name),
            footprint=footprint,
        )
        trials.update(updated, remember=False)


def _sound(trials: Trials, picks: Iterable[Trial]) -> list[Trial]:
    """As they stand now, each once, without those that failed meanwhile."""
    now = {t.id: trials.all[t.id] for t in picks}
    return [t for t in now.values() if t.status is Status.OK]


def _against(trial: Trial, baseline: str, quick: Ratio | None) -> Ratio | None:
    """The speed-up against the baseline, whatever it was timed against.

    Quick timings are ratios to the search's first engine; dividing by the
    baseline's own quick ratio carries them over.
    """
    own = trial.speedup
    if own is None or quick is None or own.against == baseline:
        return own
    return divided(own, quick, baseline)


def _cold(
    setup: Setup, trials: Trials, chosen: Trial, finalists: int
) -> tuple[Trial, tuple[Note, ...]]:
    """The chosen trial with its cold start and energy, measured in fresh processes."""
    if chosen.footprint is None:
        return chosen, ()
    left_s = trials.budget.left_s(time.monotonic())
    count = cold_starts_that_fit(left_s, finalists)
    if not count:
        return _noting(chosen, left_out("cold start")), (left_out("cold start"),)
    try:
        found = measure_footprint(
            contender_of(chosen, trials.made_for(chosen)),
            setup.select.ref(),
            batch=setup.contract.batch,
            cores=setup.cores,
            memory_bytes=setup.memory_bytes,
            timeout_s=_step_s(setup, left_s),
            cold_starts=count,
            warm_seconds=1.0,
        )
    except WhetError as error:
        return chosen, (Note("cold start", error.message),)
    footprint = msgspec.structs.replace(
        chosen.footprint, cold_start_ms=found.cold_start_ms, energy_mj=found.energy_mj
    )
    return _noting(msgspec.structs.replace(chosen, footprint=footprint), *found.notes), ()


def _noting(trial: Trial, *notes: Note) -> Trial:
    """The trial with notes on what it takes."""
    if trial.footprint is None:
        return trial
    together = tuple(dict.fromkeys((*trial.footprint.notes, *notes)))
    footprint = msgspec.structs.replace(trial.footprint, notes=together)
    return msgspec.structs.replace(trial, footprint=footprint)


def _layers(
    setup: Setup, trials: Trials, chosen: Trial, finalists: int
) -> tuple[tuple[LayerTime, ...], tuple[Note, ...]]:
    left_s = trials.budget.left_s(time.monotonic())
    if not layers_fit(left_s, finalists):
        return (), (left_out("layers"),)
    try:
        made = trials.made_for(chosen)
        return layers_of(setup, chosen, made, limit_s=_step_s(setup, left_s)), ()
    except WhetError as error:
        return (), (Note("layers", error.message),)


def _step_s(setup: Setup, left_s: float) -> float:
    return step_limit_s(setup.contract.batch, original_ms=setup.original_ms, left_s=left_s)

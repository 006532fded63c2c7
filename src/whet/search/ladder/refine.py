"""Rung 2, when int8 may cost too much quality: restore the layers that hurt, and other algorithms.

Worth doing only while a quantised candidate is clearly faster than everything
that is sure to keep the quality: making layers float again costs speed, and what it may
end with must still beat what there is. Where the samples are few, even a candidate
that loses nothing may fail to prove it; one with more layers in float, which changes fewer
answers, then stands before it in the sequence of finalists, so that not all hangs on one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from whet.core.evidence import LayerTime, Status, Trial
from whet.core.recipe import Recipe, Step
from whet.errors import WhetError
from whet.optimize.graph.quantize.groups import group_ms
from whet.optimize.graph.quantize.plan import RestoreSearch
from whet.optimize.graph.quantize.sensitivity import Sensitivity
from whet.optimize.graph.quantize.space import ROUND, ranked_by, suggest
from whet.search.decisions.decide import expected_bound, promising
from whet.search.decisions.figures import answers_right, damage, is_untouched, query_ms, speed
from whet.search.decisions.outlook import LIKELY, SURE
from whet.search.decisions.worth import looks_good
from whet.search.ladder import variations
from whet.search.ladder.assay import layers_of
from whet.search.ladder.side_jobs import side_job
from whet.search.ladder.trials import Trials
from whet.search.setup import Setup
from whet.search.workers.jobs import SensitivityJob

__all__ = ["refine", "rescue_rounded"]

_GAIN = 1.05  # a candidate this much faster than the best that is safe is worth rescuing
_FLOATS = 0.25  # share of its time that is taken to go to layers left in float
_SUGGESTIONS = 6
_ASKS = 10
_RANKING = 3.0  # ranking the layers takes at least this many times what the candidate took


def rescue_rounded(setup: Setup, trials: Trials) -> None:
    """Restore layers before other algorithms are tried, where careful rounding came nearest.

    Without it no other calibration would come nearer, and while one loses too much there is
    nothing as fast as what restoring ends with.
    """
    base = _worth_rescuing(setup, trials, SURE)
    if base is not None and ROUND in base.recipe.steps:
        _restore(setup, trials, base)


def refine(setup: Setup, trials: Trials) -> None:
    """Rescue the fastest quantised candidates whose quality isn't safe."""
    base = _worth_rescuing(setup, trials, SURE)
    if base is not None and not any(map(_is_restored, trials.all.values())):
        _restore(setup, trials, base)
    base = _worth_rescuing(setup, trials, LIKELY)
    if base is not None:
        _explore(setup, trials, rounding=ROUND in base.recipe.steps)


def _is_restored(trial: Trial) -> bool:
    return any("ignored" in step.options for step in trial.recipe.steps)


def _worth_rescuing(setup: Setup, trials: Trials, least: float) -> Trial | None:
    """The quantised trial nearest to the floor among those clearly faster than the best safe one.

    With some layers in float it must still be faster: where the runtime's own floats are slow, a
    candidate that is hardly ahead is beaten before it is rescued.

    Args:
        setup: of the search.
        trials: so far.
        least: chance of being certified from which on a trial counts as safe.
    """
    n = setup.certify.samples
    safe = _fastest_safe(setup, trials.all.values(), least)
    lost = [
        t
        for t in trials.all.values()
        if t.status is Status.OK
        and t.select is not None
        and _quantiser(t) is not None
        # What its quantiser costs, a changed network's base shows: less than the floor allows.
        and not variations.is_changed(t.recipe.steps)
        and not promising(t, setup.contract, n, least=least)
        and speed(t) > _GAIN * safe
        and _mixed(speed(t), speed(_float_of(trials, t))) > safe
    ]
    return min(lost, key=lambda t: expected_bound(t, n), default=None)


def _mixed(narrow: float, wide: float) -> float:
    """The speed to expect of a candidate with some layers in float."""
    return 1 / ((1 - _FLOATS) / narrow + _FLOATS / wide) if wide else 0.0


def _fastest_safe(setup: Setup, trials: Iterable[Trial], least: float) -> float:
    n = setup.certify.samples
    safe = (speed(t) for t in trials if promising(t, setup.contract, n, least=least))
    return max(safe, default=0.0)


def _quantiser(trial: Trial) -> Step | None:
    return next((step for step in trial.recipe.steps if ranked_by(step) is not None), None)


def _restore(setup: Setup, trials: Trials, base: Trial) -> None:
    """Ask the restore search for sets of layers to leave in float, until it is done."""
    found = _sensitivity(setup, trials, base)
    if found is None or not found.damage:
        return
    wide = _float_of(trials, base)
    milliseconds = group_ms(
        found.groups, _layers(setup, trials, wide), _layers(setup, trials, base)
    )
    restore = RestoreSearch(found.groups, found.damage, milliseconds, max_asks=_ASKS)
    n = setup.certify.samples
    while (ignored := restore.ask()) is not None:
        recipe = variations.restored_in(
            base,
            ignored,
            wide.recipe.settings.precision,
            small=setup.contract.max_bytes is not None,
        )
        trial = trials.attempt(recipe, 2)
        if trial is None:
            return
        trial = trials.judge(trial)
        restore.tell(
            quality_ok=promising(trial, setup.contract, n, least=SURE),
            drop=damage(trial),
            ms=query_ms(trial.latency),
            beaten=_beaten(setup, trials, trial),
        )


def _beaten(setup: Setup, trials: Trials, trial: Trial) -> bool:
    """Whether something that is safe already was measured to be as fast."""
    others = [t for t in trials.all.values() if t.id != trial.id]
    measured = trial.speedup is not None
    return measured and speed(trial) <= _fastest_safe(setup, others, SURE)


def _sensitivity(setup: Setup, trials: Trials, base: Trial) -> Sensitivity | None:
    """Damage of each group of layers, remembered by the ledger."""
    step = _quantiser(base)
    ranking = ranked_by(step) if step is not None else None
    if step is None or ranking is None:
        return None
    key = f"sensitivity-{base.recipe.build_digest()}"
    kept = trials.ledger.get_as(key, Sensitivity)
    if kept is not None:
        return kept
    if not trials.budget.affords(time.monotonic(), _RANKING * base.seconds):
        trials.tell.remark(base.name, "The time left didn't allow ranking its layers.")
        return None
    trials.tell.phase(f"finding the layers that cost {base.name} its quality")
    place = base.recipe.steps.index(step)
    job = SensitivityJob(
        before=base.recipe.steps[:place],
        quantiser=ranking,
        ground=setup.ground,
        runtime=base.recipe.runtime,
        workdir=str(setup.workdir / "sensitivity" / base.recipe.build_digest()),
        shelf=str(setup.workdir / "built"),
    )
    found = side_job(
        setup,
        trials,
        "whet.search.workers.jobs:sensitivity",
        job,
        Sensitivity,
        where=base.name,
        failing="Its layers could not be ranked",
    )
    if found is not None:
        trials.ledger.put(key, found)
    return found


def _float_of(trials: Trials, base: Trial) -> Trial:
    """The fastest in floating point on the runtime of ``base``: how layers left in float will run.

    One that loses too much itself is none: the layers that are restored would lose as much.
    """
    same = [
        t
        for t in trials.all.values()
        if t.status is Status.OK
        and t.recipe.runtime == base.recipe.runtime
        and (answers_right(t) or looks_good(t))
        and not any(step.name.startswith("quantize") for step in t.recipe.steps)
    ]
    return max(same, key=speed, default=base)


def _layers(setup: Setup, trials: Trials, trial: Trial) -> tuple[LayerTime, ...]:
    try:
        return layers_of(setup, trial, trials.made_for(trial))
    except WhetError as error:
        trials.tell.remark(trial.name, f"Its layers could not be timed: {error.message}")
        return ()


def _explore(setup: Setup, trials: Trials, *, rounding: bool) -> None:
    """Let Optuna choose the algorithm: a few more quantisers, guided by the damage so far.

    Args:
        setup: of the search.
        trials: so far.
        rounding: whether weights that were rounded in advance came nearest to the floor; without
            them no other calibration would come nearer.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    quantised = [
        t for t in trials.all.values() if _quantiser(t) is not None and not is_untouched(t)
    ]
    if not quantised:
        return
    fastest = max(quantised, key=speed).recipe
    sampler = optuna.samplers.TPESampler(seed=setup.seed, n_startup_trials=3)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    for _ in range(_SUGGESTIONS):
        asked = study.ask()
        steps = suggest(asked, setup.kind, fastest.runtime, flags=frozenset(setup.machine.flags))
        if rounding:
            steps = variations.rounding_first(steps) or steps
        trial = trials.attempt(Recipe(steps, fastest.runtime, fastest.settings), 2)
        if trial is None:
            return
        loss = expected_bound(trials.judge(trial), setup.certify.samples)
        if loss == float("inf"):
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(asked, loss)
        if promising(trials.all[trial.id], setup.contract, setup.certify.samples):
            return

"""Rung 3: the network itself changed, by one solver over measured menus of its blocks.

What each block may become is tried alone: its damage to the answers, after a repair, and what it
takes in the runtime that will run it. The solver puts the choices together to a frontier of plans;
halving finds the fastest of them that keeps the floor. A plan is a candidate like any other: built,
timed, judged, and certified or not.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec

from whet.core.evidence import Status, Trial
from whet.core.note import Note
from whet.core.recipe import Recipe, Step
from whet.errors import StorageError, WhetError
from whet.optimize.graph.quantize.space import ROUND, UNROUND
from whet.optimize.network.menu import Choices, MenuPlan
from whet.search.decisions.decide import promising
from whet.search.decisions.figures import query_ms, speed
from whet.search.decisions.outlook import SURE
from whet.search.intake.outputs import CLASS_METRICS
from whet.search.ladder.rungs import GRAPHS
from whet.search.ladder.trials import Trials
from whet.search.ladder.variations import TO_GRAPH
from whet.search.ladder.waves import enough, good
from whet.search.setup import Setup
from whet.search.solver.proposals import (
    FrontierSearch,
    Proposal,
    corrected_ms,
    proposals,
    rank_correlation,
)
from whet.search.workers.isolate import run_isolated
from whet.search.workers.surgery_jobs import Costs, CostsJob, MenusJob

__all__ = ["operate"]

_RUNG = 3
_PREDICTION = "prediction"
_STAY = (0.75, 0.5, 0.25)  # shares of a width that a menu offers
_JUDGED = (32, 128)  # rows that tell damages, at least and at most
_JUDGED_MACS = 1e11  # that they may take in between
_LEAST_CORRELATION = 0.8  # below it sums of damages say little
_COSTS_S = 300.0
# Making menus takes about as long as the untouched graph takes for so many answers to each sample.
_MENUS_ROWS = 60
_MENUS_LEAST_S = 15.0
# Channels that kernels of this CPU take at once, the widest first.
_TILES = (("amx_int8", 16), ("avx512f", 16), ("avx2", 8))


def operate(setup: Setup, trials: Trials, *, share: float = 1.0) -> None:
    """Change the network where there is one, as far as the floor and the time allow; once.

    Args:
        setup: of the search.
        trials: so far.
        share: of the time left that menus may take; where they take more, nothing is done.
    """
    base = _base(setup, trials)
    done = any(trial.rung == _RUNG for trial in trials.all.values())
    if done or base is None or enough(setup, trials):
        return
    if setup.program is None:
        trials.tell.remark(
            "surgery", "The network came as a graph, so its layers stay as they are."
        )
        return
    need_s = _MENUS_LEAST_S + _MENUS_ROWS * len(setup.repair) * setup.original_ms / 1e3
    if share < 1 and need_s > share * trials.climbing_s():
        return
    choices = _choices(setup, trials, need_s)
    points = _points(setup, trials, base, choices) if choices is not None else ()
    search, n = FrontierSearch(points), setup.certify.samples
    predictions = _Predictions(trials, base)
    while (point := search.ask()) is not None and not enough(setup, trials):
        trial = trials.attempt(_recipe(point, base), _RUNG)
        if trial is None:
            return
        trial = predictions.told(point, trials.judge(trial))
        search.tell(good=promising(trial, setup.contract, n, least=SURE))


@dataclass
class _Predictions:
    """What blocks said that plans would take, beside what they took."""

    trials: Trials
    base: Trial
    seen: list[tuple[float, float]] = field(default_factory=list)

    def told(self, point: Proposal, trial: Trial) -> Trial:
        """The trial with a note of both, where it ran; later predictions are corrected by it."""
        whole_ms = query_ms(self.base.latency)
        if whole_ms is None or trial.speedup is None or not speed(trial):
            return trial
        measured_ms = whole_ms * speed(self.base) / speed(trial)
        said_ms = corrected_ms(point.ms, whole_ms, self.seen)
        self.seen.append((point.ms, measured_ms))
        off = said_ms / measured_ms - 1
        reason = (
            f"Its blocks let expect {said_ms:.3g} ms; it took {measured_ms:.3g} ms ({off:+.0%})."
        )
        if not any(note.where == _PREDICTION for note in trial.notes):
            notes = (*trial.notes, Note(_PREDICTION, reason))
            trial = msgspec.structs.replace(trial, notes=notes)
            self.trials.update(trial)
        return trial


def _base(setup: Setup, trials: Trials) -> Trial | None:
    """The candidate whose passes and settings the changed network gets: the fastest that is good."""
    able = [
        t
        for t in trials.all.values()
        if t.status is Status.OK and t.recipe.runtime in GRAPHS and good(setup, t)
    ]
    return max(able, key=speed, default=None)


def _tail(base: Trial) -> tuple[Step, ...]:
    """Its passes, without what names layers of the original's graph or takes weights from it."""
    return tuple(
        msgspec.structs.replace(
            step, options={k: v for k, v in step.options.items() if k != "ignored"}
        )
        for step in base.recipe.steps
        if step.name != UNROUND
    )


def _recipe(point: Proposal, base: Trial) -> Recipe:
    steps = (*point.steps, Step("repair"), TO_GRAPH, *_tail(base))
    return Recipe(steps, base.recipe.runtime, base.recipe.settings)


def _choices(setup: Setup, trials: Trials, need_s: float) -> Choices | None:
    """The menus; ``None`` where there is no time for them or nothing to choose."""
    if setup.program is None:
        return None
    if not trials.budget.affords(time.monotonic(), need_s):
        trials.tell.remark("surgery", "The time left didn't allow menus of the network's blocks.")
        return None
    trials.tell.rung(_RUNG)
    trials.tell.phase("finding what each block of the network could become")
    flags = setup.machine.flags
    job = MenusJob(
        graph=setup.graph,
        program=setup.program,
        repair=setup.repair.ref(),
        plan=MenuPlan(
            stay=_STAY,
            tile=next((tile for flag, tile in _TILES if flag in flags), 8),
            classes=setup.metric in CLASS_METRICS,
            rows=setup.contract.batch,
            judged=int(min(_JUDGED[1], max(_JUDGED[0], _JUDGED_MACS / max(setup.macs, 1)))),
        ),
        workdir=str(setup.workdir / "surgery"),
        threads=setup.threads,
        seed=setup.seed,
    )
    try:
        found = run_isolated(
            "whet.search.workers.surgery_jobs:network_menus",
            job,
            Choices,
            timeout_s=trials.budget.climbing_s(time.monotonic()),
            memory_bytes=setup.memory_bytes,
            cores=setup.cores,
            cancel=trials.stop.asked,
        ).value
    except StorageError:
        raise
    except WhetError as error:
        trials.tell.remark("surgery", f"The network stays as it is: {error.message}")
        return None
    for note in found.notes:
        trials.tell.remark(note.where, note.reason)
    return found


def _points(setup: Setup, trials: Trials, base: Trial, choices: Choices) -> tuple[Proposal, ...]:
    """The frontier of plans, with what each block takes measured in the base's runtime."""
    graphs = {c.graph.path: c.graph for menu in choices.menus for c in menu}
    key = f"block-costs-{base.recipe.digest()}"
    costs = trials.ledger.get_as(key, Costs)
    if costs is None:
        trials.tell.phase("timing each block of the network")
        job = CostsJob(
            graphs=tuple(graphs.values()),
            steps=tuple(step for step in _tail(base) if step != ROUND),
            runtime=base.recipe.runtime,
            settings=base.recipe.settings,
            cache=str(setup.cache),
            workdir=str(setup.workdir / "surgery" / f"costs-{base.recipe.digest()}"),
            threads=setup.threads,
            seed=setup.seed,
        )
        try:
            costs = run_isolated(
                "whet.search.workers.surgery_jobs:block_costs",
                job,
                Costs,
                timeout_s=_COSTS_S,
                memory_bytes=setup.memory_bytes,
                cores=setup.cores,
                cancel=trials.stop.asked,
            ).value
        except StorageError:
            raise
        except WhetError as error:
            trials.tell.remark("surgery", f"Its blocks could not be timed: {error.message}")
            return ()
        trials.ledger.put(key, costs)
    _say_how_they_add_up(trials, choices)
    whole_ms = query_ms(base.latency)
    ms = dict(zip(graphs, costs.ms, strict=True))
    return proposals(choices, ms, whole_ms) if whole_ms is not None else ()


def _say_how_they_add_up(trials: Trials, choices: Choices) -> None:
    found = rank_correlation(choices)
    if found is not None and found < _LEAST_CORRELATION:
        trials.tell.remark(
            "surgery",
            f"Damages of single blocks rank combinations poorly here (correlation {found:.2f}), so"
            " better plans than those tried may exist.",
        )

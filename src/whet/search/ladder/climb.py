"""The ladder: rungs in order of cost, until the contract is kept or time is up.

Rung 1 runs the untouched graph on every runtime, rung 0 then says what is
reachable (its int8 probe is a real candidate, quantised with a handful of
samples), rung 2 quantises and, where that costs too much quality, rounds
weights with care, restores the layers that hurt and searches the algorithm.

With a latency limit the climb stops as soon as a candidate keeps the contract
with slack; without one it goes on while anything promising is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

import msgspec

from whet.core.evidence import Feasibility, Status, Trial
from whet.core.settings import Settings
from whet.runtimes.axes import Axes
from whet.search.budget.pace import hurried, quick_to_build
from whet.search.decisions.endings import reason_of
from whet.search.decisions.feasibility import assess
from whet.search.decisions.figures import answers_right, is_untouched, plainest, query_ms, speed
from whet.search.decisions.footing import arithmetic_of
from whet.search.decisions.outlook import SURE
from whet.search.decisions.untouched import best_untouched
from whet.search.ladder import int8_rungs, rungs
from whet.search.ladder.exits import end_early
from whet.search.ladder.learn_int8 import learn_int8
from whet.search.ladder.polish import (
    ALL,
    FEW,
    LEVEL,
    TUNING,
    judge_the_fast,
    pad,
    retune,
    retune_the_original,
    rework,
)
from whet.search.ladder.refine import refine, rescue_rounded
from whet.search.ladder.rounding import round_with_care
from whet.search.ladder.substitute import substitute
from whet.search.ladder.surgery import Operated, operate
from whet.search.ladder.teach import teach
from whet.search.ladder.trials import Trials
from whet.search.ladder.waves import (
    enough,
    good,
    roomier_is_sure,
    share_allowed,
    short_of_room,
    wave,
)
from whet.search.setup import Setup
from whet.search.words.none_ran import none_ran
from whet.search.words.untried import Untried, untried, untried_notes

__all__ = ["Climbed", "climb"]

_COMPILING = 0.3  # share of the time left that compiling C++ may take
_TEACHING = 0.6  # and that networks may learn in, where there are training samples
_EXITS, _LATE_EXITS = 0.15, 0.5  # that early exits may, while int8 has more to try, and after it
_SURGERY = 0.3  # and that menus of blocks may take, to come before what int8 still needs


@dataclass(frozen=True)
class Climbed:
    """Where the climb ended.

    Attributes:
        baseline: the best untouched trial.
        feasibility: what rung 0 said.
        untried: whether int8 was left out.
        skipped: candidates for which there was no time.
    """

    baseline: Trial
    feasibility: Feasibility
    untried: Untried | None
    skipped: int


def climb(setup: Setup, trials: Trials) -> Climbed:
    """Go up the ladder; every result is in ``trials`` and in the ledger.

    The user may stop it once an untouched trial ran; it then ends with what there is.

    Raises:
        RuntimeUnavailableError: no runtime could run the untouched graph.
        MeasurementError: it ran, above what this machine can do.
        Stopped: the user asked to stop before anything was measured.
    """
    axes = _axes(setup)
    with trials.until_stopped():
        _look(setup, trials, axes)
    feasibility = _feasibility(setup, trials)
    trials.tell.remark("feasibility", feasibility.sentence)
    with trials.until_stopped():
        _go_up(setup, trials, axes)
    left_out, skipped = _untried(setup, trials, axes)
    best = best_untouched(trials.untouched(), setup.contract, setup.certify.samples)
    return Climbed(best, feasibility, left_out, skipped)


def _untried(setup: Setup, trials: Trials, axes: Axes) -> tuple[Untried | None, int]:
    """Whether int8 was left out, and for how many candidates there was no time, which is told."""
    settings = _settings_by_runtime(trials.untouched())
    proposed = int8_rungs.int8_first(setup.kind, setup.runtimes, settings, axes.flags)
    # Where the limit is kept with slack no longer budget would try them.
    skipped = () if enough(setup, trials) else tuple(trials.skipped.values())
    found = untried(
        trials.all.values(),
        () if _no_room_for_int8(setup, trials) else proposed,
        skipped,
        stopped=trials.stop.asked.is_set(),
    )
    for note in untried_notes(found, skipped):
        trials.tell.remark(note.where, note.reason)
    return found, len(skipped)


def _look(setup: Setup, trials: Trials, axes: Axes) -> None:
    """The untouched graph where it compiles in seconds, and the int8 probe.

    In a hurry, or where nothing is calibrated, the whole int8 candidate that promises most comes
    in place of the probe, before further settings of the untouched graph. Where even int8 is too
    large, what is smaller comes before both.
    """
    first = wave(
        trials,
        1,
        rungs.untouched_first(quick_to_build(setup.runtimes), axes),
        judge=False,
        must=True,
    )
    _need_one(first, trials)
    if _no_room_for_int8(setup, trials):
        _store(setup, trials, _settings_by_runtime(first), axes)
    right = [t for t in first if answers_right(t)] or first
    probe, whole = (
        find(setup.kind, right, axes.flags)
        for find in (int8_rungs.int8_probe, int8_rungs.int8_soonest)
    )
    # What has no ranges to find is no cheaper as a probe.
    if probe == whole or hurried(
        trials.climbing_s(),
        probe_s=trials.expected_s(probe[0]),
        int8_s=trials.expected_s(whole[0]),
    ):
        # Its speed says what is reachable as well as a probe's, and it can be chosen.
        wave(trials, 2, whole, stop=setup)
    else:
        wave(trials, 0, probe, judge=False)


def _go_up(setup: Setup, trials: Trials, axes: Axes) -> None:
    """Everything after rung 0, in order of cost."""
    first = trials.untouched()
    if short_of_room(setup, trials):
        share = share_allowed(setup, trials)
        wave(trials, 1, rungs.lighter(_settings_by_runtime(first), share=share))
    else:  # settings make nothing smaller
        wave(trials, 1, rungs.untouched_rest(first, axes), judge=False, share=TUNING)
    wave(trials, 1, rungs.untouched_first(setup.runtimes, axes), judge=False, share=_COMPILING)
    if not short_of_room(setup, trials):  # else what follows is too large as well
        wave(trials, 1, rungs.reduced_precision(setup.runtimes, axes), share=TUNING)
        wave(trials, 1, rungs.fused(setup.kind, _settings_by_runtime(trials.untouched())))
    if not enough(setup, trials):
        _int8(setup, trials, axes)
    pad(setup, trials, [t for t in trials.all.values() if good(setup, t)])
    judge_the_fast(setup, trials)
    retune_the_original(setup, trials, axes)
    _come_back(setup, trials, axes)
    _say_what_was_left_out(setup, trials)


def _come_back(setup: Setup, trials: Trials, axes: Axes) -> None:
    """What didn't fit into its wave's share of the time, in what the waves after it left."""
    first = trials.untouched()
    wave(trials, 1, rungs.untouched_rest(first, axes), judge=False, stop=setup)
    if not short_of_room(setup, trials):
        wave(trials, 1, rungs.reduced_precision(setup.runtimes, axes), stop=setup)
    wave(trials, 1, rungs.untouched_first(setup.runtimes, axes), judge=False, stop=setup)


def _int8(setup: Setup, trials: Trials, axes: Axes) -> None:
    """Rung 2: a recipe per runtime, settings, other algorithms, and rescue where it is needed."""
    settings, flags = _settings_by_runtime(trials.untouched()), axes.flags
    first: list[Trial] = []
    for recipe in int8_rungs.int8_first(setup.kind, setup.runtimes, settings, flags):
        first += wave(trials, 2, (recipe,), stop=setup)
        # For text this gains more than any other runtime would, and takes seconds: what was too
        # slow to be judged may be the fastest with it.
        pad(setup, trials, [t for t in first if _may_be_good(setup, t)])
    # Fewer channels move speed more than all that follows, so they come first where they are cheap.
    operated = operate(setup, trials, share=_SURGERY)
    settings = {name: _padded(setup, trials, own, name) for name, own in settings.items()}
    if not enough(setup, trials):
        round_with_care(setup, trials)
    _store(setup, trials, settings, axes)
    retune(setup, trials, axes, most=FEW)
    if not enough(setup, trials):
        rescue_rounded(setup, trials)
    operated = operated or operate(setup, trials)
    if setup.train is not None:
        # With much to learn from, learning promises more than what int8 could still be tried with.
        _learn(setup, trials, operated, share=_TEACHING)
    substitute(setup, trials, share=_TEACHING)
    block_ms = operated.block_ms if operated is not None else {}
    exits = end_early(setup, trials, block_ms, share=_EXITS)
    wave(trials, 2, int8_rungs.int8_rest(setup.kind, first, settings, flags), stop=setup)
    if not enough(setup, trials):
        refine(setup, trials)
    rework(setup, trials)
    if setup.train is None:
        _learn(setup, trials, operated)
    retune(setup, trials, axes, most=ALL)
    if not exits:
        end_early(setup, trials, block_ms, share=_LATE_EXITS, last=True)


def _learn(setup: Setup, trials: Trials, operated: Operated | None, *, share: float = 1.0) -> None:
    """Rung 4: what lost too much learns, first as it is and then in int8."""
    if operated is not None:
        teach(setup, trials, operated, share=share)
    learn_int8(setup, trials, share=share)


def _store(setup: Setup, trials: Trials, best: dict[str, Settings], axes: Axes) -> None:
    """Weights alone, until one is sure to keep the limits on size and memory and the quality.

    Where int8 is too large, and nothing smaller is sure of its quality, 8 bits come nearest.
    """
    stored = int8_rungs.weights_only(
        best, axes.flags, kind=setup.kind, share=share_allowed(setup, trials)
    )
    needed = takewhile(lambda _: short_of_room(setup, trials, least=SURE), stored)
    wave(trials, 2, needed, stop=setup)
    if _no_room_for_int8(setup, trials):
        nearest = int8_rungs.weights_nearest(best, axes.flags)
        needed = takewhile(lambda _: not roomier_is_sure(setup, trials), nearest)
        wave(trials, 2, needed, stop=setup)


def _no_room_for_int8(setup: Setup, trials: Trials) -> bool:
    return share_allowed(setup, trials) < int8_rungs.INT8_SHARE


def _say_what_was_left_out(setup: Setup, trials: Trials) -> None:
    """A runtime that no trial ran on is a gap in "the best untouched": say so."""
    tried = {t.recipe.runtime for t in trials.all.values()}
    for runtime in setup.runtimes:
        if runtime not in tried:
            trials.tell.remark(
                runtime, "It was not tried: the time left didn't allow its compilation."
            )


def _axes(setup: Setup) -> Axes:
    symbol = setup.graph.signature.batch_symbol
    fixed = {symbol: setup.contract.batch} if symbol is not None else {}
    return Axes(
        cores=setup.threads,
        fixed=fixed,
        flags=frozenset(setup.machine.flags),
        concurrency=setup.contract.concurrency,
    )


def _settings_by_runtime(untouched: Iterable[Trial]) -> dict[str, Settings]:
    """The fastest lossless settings of each runtime that ran; of those alike the first tried.

    They are what promises most by experience, for what comes of the graph too.
    """
    ran: dict[str, list[Trial]] = {}
    # Settings under which a runtime answers wrongly are no start for anything.
    for trial in sorted(untouched, key=answers_right, reverse=True):
        if not answers_right(trial) and any(map(answers_right, ran.get(trial.recipe.runtime, []))):
            continue
        ran.setdefault(trial.recipe.runtime, []).append(trial)
    return {runtime: _first_of_alike(trials).recipe.settings for runtime, trials in ran.items()}


def _padded(setup: Setup, trials: Trials, own: Settings, runtime: str) -> Settings:
    """The same settings, with sizes rounded up where that made a quantised candidate faster."""
    changed = (
        t
        for t in trials.all.values()
        if t.recipe.runtime == runtime and t.recipe.steps and _may_be_good(setup, t)
    )
    fastest = max(changed, key=speed, default=None)
    if fastest is None:
        return own
    return msgspec.structs.replace(own, round_up=fastest.recipe.settings.round_up)


def _may_be_good(setup: Setup, trial: Trial) -> bool:
    """Whether it ran, and was not seen to lose too much: the slow aren't looked at."""
    return trial.status is Status.OK and (trial.select is None or good(setup, trial))


def _first_of_alike(trials: list[Trial]) -> Trial:
    return plainest(trials, within=LEVEL, before=lambda t: t is trials[0])


def _need_one(first: list[Trial], trials: Trials) -> None:
    if not first:
        raise none_ran({t.id: reason_of(t) for t in trials.all.values()}, trials.errors)


def _feasibility(setup: Setup, trials: Trials) -> Feasibility:
    # An untouched engine that computes something else says nothing.
    telling = [t for t in trials.all.values() if answers_right(t) or not is_untouched(t)]
    timed = [(t, ms) for t in telling if (ms := query_ms(t.latency)) is not None]
    return assess(
        setup.contract,
        macs=None if setup.uncounted else setup.macs,
        parameters=setup.parameters,
        ceilings=setup.machine.ceilings,
        probes_ms={t.name: ms for t, ms in timed},
        int8=any(arithmetic_of(t.recipe) == "int8" for t, _ in timed),
    )

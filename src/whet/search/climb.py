"""The ladder: rungs in order of cost, until the contract is kept or time is up.

Rung 1 runs the untouched graph on every runtime, rung 0 then says what is
reachable (its int8 probe is a real candidate, quantised with a handful of
samples), rung 2 quantises and, where that costs too much quality, searches
the algorithm and restores the layers that hurt.

With a latency limit the climb stops as soon as a candidate keeps the contract
with slack; without one it goes on while anything promising is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whet.core.evidence import Feasibility, Status, Trial
from whet.core.recipe import Recipe
from whet.core.settings import Settings
from whet.errors import RuntimeUnavailableError
from whet.runtimes.registry import get
from whet.search import rungs
from whet.search.decide import promising
from whet.search.feasibility import assess
from whet.search.figures import answers_right, is_untouched, plainest, speed
from whet.search.lengths import masked_symbols, round_ups
from whet.search.refine import refine
from whet.search.setup import Setup
from whet.search.trials import Trials
from whet.search.untouched import best_untouched
from whet.search.worth import keeps_room

__all__ = ["Climbed", "climb"]

_SLACK = 0.9  # a limit is kept with slack below this share of it
_LATE = 2  # trials that are judged after the climb
# Shares of the time left that a wave may take, so that those after it have their turn.
_TUNING = 0.2
_COMPILING = 0.3
_FEW, _ALL = 4, 99  # neighbouring settings tried before other algorithms, and after them
_LEVEL = 0.05  # quick timings this near to each other may change places in the next search
_ROWS_LOOKED_AT = 256


@dataclass(frozen=True)
class Climbed:
    """Where the climb ended: the best untouched trial, and what rung 0 said."""

    baseline: Trial
    feasibility: Feasibility


def climb(setup: Setup, trials: Trials) -> Climbed:
    """Go up the ladder; every result is in ``trials`` and in the ledger.

    The user may stop it once an untouched trial ran; it then ends with what there is.

    Raises:
        RuntimeUnavailableError: no runtime could run the untouched graph.
        Stopped: the user asked to stop before anything was measured.
    """
    axes = _axes(setup)
    with trials.until_stopped():
        _look(setup, trials, axes)
    feasibility = _feasibility(setup, trials)
    trials.tell.remark("feasibility", feasibility.sentence)
    with trials.until_stopped():
        _go_up(setup, trials, axes)
    best = best_untouched(trials.untouched(), setup.contract, setup.certify.samples)
    return Climbed(best, feasibility)


def _look(setup: Setup, trials: Trials, axes: rungs.Axes) -> None:
    """The untouched graph where it compiles in seconds, and the int8 probe."""
    first = _wave(
        trials, 1, rungs.untouched_first(_quick_to_build(setup), **axes), judge=False, must=True
    )
    _need_one(first, trials)
    right = [t for t in first if answers_right(t)] or first
    _wave(trials, 0, rungs.int8_probe(setup.kind, right, axes["flags"]), judge=False)


def _go_up(setup: Setup, trials: Trials, axes: rungs.Axes) -> None:
    """Everything after rung 0, in order of cost."""
    first = trials.untouched()
    if _short_of_room(setup, trials):
        share = _share_allowed(setup, trials)
        _wave(trials, 1, rungs.lighter(_settings_by_runtime(first), share=share))
    _wave(trials, 1, rungs.untouched_rest(first, **axes), judge=False, share=_TUNING)
    _wave(trials, 1, rungs.untouched_first(setup.runtimes, **axes), judge=False, share=_COMPILING)
    if not _short_of_room(setup, trials):  # else what follows is too large as well
        _wave(trials, 1, rungs.reduced_precision(setup.runtimes, **axes), share=_TUNING)
        _wave(trials, 1, rungs.fused(setup.kind, _settings_by_runtime(trials.untouched())))
    _say_what_was_left_out(setup, trials)
    if not _enough(setup, trials):
        _int8(setup, trials, axes)
    _pad(setup, trials, [t for t in trials.all.values() if _good(setup, t)])
    _judge_the_fast(setup, trials)
    _retune_the_original(setup, trials, axes)


def _int8(setup: Setup, trials: Trials, axes: rungs.Axes) -> None:
    """Rung 2: a recipe per runtime, settings, other algorithms, and rescue where it is needed."""
    settings, flags = _settings_by_runtime(trials.untouched()), axes["flags"]
    first: list[Trial] = []
    for recipe in rungs.int8_first(setup.kind, setup.runtimes, settings, flags):
        first += _wave(trials, 2, (recipe,), stop=setup)
        # For text this gains more than any other runtime would, and takes seconds.
        _pad(setup, trials, [t for t in first if _good(setup, t)])
    if _short_of_room(setup, trials):
        share = _share_allowed(setup, trials)
        _wave(trials, 2, rungs.weights_only(settings, share=share), stop=setup)
    _retune(setup, trials, axes, most=_FEW)
    _wave(trials, 2, rungs.int8_rest(setup.kind, first, settings, flags), stop=setup)
    if not _enough(setup, trials):
        refine(setup, trials)
    _retune(setup, trials, axes, most=_ALL)


def _retune(setup: Setup, trials: Trials, axes: rungs.Axes, *, most: int) -> None:
    """Other settings for the fastest candidate that is good."""
    good = [t for t in trials.all.values() if not is_untouched(t) and _good(setup, t)]
    if good:
        best = plainest(good, within=_LEVEL)
        _pad(setup, trials, good)
        _wave(trials, best.rung, rungs.retuned(best, most=most, **axes), share=_TUNING, stop=setup)


def _retune_the_original(setup: Setup, trials: Trials, axes: rungs.Axes) -> None:
    """The same for the best untouched engine: what others are held to is tuned like them."""
    right = [t for t in trials.untouched() if answers_right(t)]
    if right:
        best = plainest(right, within=_LEVEL)
        recipes = rungs.retuned(best, most=_ALL, **axes)
        _wave(trials, 1, recipes, judge=False, share=_TUNING, stop=setup)


def _good(setup: Setup, trial: Trial) -> bool:
    return promising(trial, setup.contract, setup.certify.samples)


def _pad(setup: Setup, trials: Trials, bases: Sequence[Trial]) -> None:
    """The fastest of some trials with its sizes rounded up, where that may help."""
    able = [t for t in bases if "round_up" in get(t.recipe.runtime).honours]
    if able:
        best = max(able, key=speed)
        if not best.recipe.settings.round_up:
            choices = round_ups(_masked_sizes(setup))
            _wave(trials, best.rung, rungs.padded(best, choices), stop=setup)


def _masked_sizes(setup: Setup) -> dict[str, list[int]]:
    """Sizes of what a mask covers, in the first select rows."""
    signature = setup.graph.signature
    symbols = masked_symbols(signature)
    if not symbols:
        return {}
    sizes = [signature.bind(row) for row in setup.select.batches(1, limit=_ROWS_LOOKED_AT)]
    return {symbol: [of[symbol] for of in sizes] for symbol in symbols}


def _short_of_room(setup: Setup, trials: Trials) -> bool:
    """Whether nothing that is good keeps the limits on size and memory yet."""
    contract = setup.contract
    if contract.max_bytes is None and contract.max_memory_bytes is None:
        return False
    return not any(_good(setup, t) and keeps_room(t, contract) for t in trials.all.values())


def _share_allowed(setup: Setup, trials: Trials) -> float:
    """What share of the untouched graph's size the contract allows; 1 if it limits no size."""
    sizes = [t.footprint.disk_bytes for t in trials.untouched() if t.footprint is not None]
    limit = setup.contract.max_bytes
    return 1.0 if limit is None else limit / min(sizes, default=1)


def _judge_the_fast(setup: Setup, trials: Trials) -> None:
    """Judge what is faster than everything safe but was only timed, while time allows."""
    safe = max((speed(t) for t in trials.all.values() if _good(setup, t)), default=0)
    fast = [
        t
        for t in trials.all.values()
        if t.status is Status.OK
        and t.select is None
        and speed(t) > max(safe, 1.0)
        and (keeps_room(t, setup.contract) or _short_of_room(setup, trials))
    ]
    for trial in sorted(fast, key=speed, reverse=True)[:_LATE]:
        trials.judge(trial)


def _wave(
    trials: Trials,
    rung: int,
    recipes: Iterable[Recipe],
    *,
    judge: bool = True,
    share: float = 1.0,
    must: bool = False,
    stop: Setup | None = None,
) -> list[Trial]:
    """Try recipes in order and return those that ran.

    Args:
        trials: where they are tried.
        rung: of the ladder.
        recipes: the most promising first.
        judge: whether quality is judged.
        share: of the time left for climbing that the wave may take.
        must: try them whatever time is left: without the untouched graph on every
            runtime that compiles in seconds nobody can say "never slower".
        stop: end the wave when a candidate of this search keeps the contract.
    """
    trials.tell.rung(rung)
    most_s = trials.time_share_s(share)
    tried: list[Trial] = []
    for recipe in recipes:
        if stop is not None and _enough(stop, trials):
            break
        trial = trials.attempt(recipe, rung, judge=judge, until_s=most_s, must=must)
        if trial is not None:
            tried.append(trial)
    return [t for t in tried if t.status is Status.OK]


def _enough(setup: Setup, trials: Trials) -> bool:
    """Whether a promising candidate keeps the latency limit with slack."""
    contract = setup.contract
    if contract.limit_ms is None:
        return False
    for trial in trials.all.values():
        point = trial.latency.at(contract.percentile) if trial.latency is not None else None
        reach = None if point is None else (point.high_ms or point.value_ms)
        # Quick timings run too few queries for a high percentile: take their slowest query.
        reach = reach if reach is not None else (trial.latency.max_ms if trial.latency else None)
        if reach is not None and reach <= _SLACK * contract.limit_ms and _good(setup, trial):
            return True
    return False


def _say_what_was_left_out(setup: Setup, trials: Trials) -> None:
    """A runtime that no trial ran on is a gap in "the best untouched": say so."""
    tried = {t.recipe.runtime for t in trials.all.values()}
    for runtime in setup.runtimes:
        if runtime not in tried:
            trials.tell.remark(
                runtime, "It was not tried: the time left didn't allow its compilation."
            )


def _axes(setup: Setup) -> rungs.Axes:
    symbol = setup.graph.signature.batch_symbol
    fixed = {symbol: setup.contract.batch} if symbol is not None else {}
    return rungs.Axes(
        cores=setup.threads,
        fixed=fixed,
        flags=frozenset(setup.machine.flags),
        concurrency=setup.contract.concurrency,
    )


def _quick_to_build(setup: Setup) -> tuple[str, ...]:
    """Runtimes that compile in seconds; Inductor's C++ compiler comes after rung 0."""
    return tuple(name for name in setup.runtimes if name != "inductor") or setup.runtimes


def _settings_by_runtime(untouched: Iterable[Trial]) -> dict[str, Settings]:
    """The fastest lossless settings of each runtime that ran; the plainest of those alike."""
    ran: dict[str, list[Trial]] = {}
    # Settings under which a runtime answers wrongly are no start for anything.
    for trial in sorted(untouched, key=answers_right, reverse=True):
        if not answers_right(trial) and any(map(answers_right, ran.get(trial.recipe.runtime, []))):
            continue
        ran.setdefault(trial.recipe.runtime, []).append(trial)
    return {
        runtime: plainest(trials, within=_LEVEL).recipe.settings for runtime, trials in ran.items()
    }


def _need_one(first: list[Trial], trials: Trials) -> None:
    if not first:
        reasons = (t.notes[-1].reason for t in trials.all.values() if t.notes)
        raise RuntimeUnavailableError(
            " ".join(("No runtime could run the untouched graph.", *dict.fromkeys(reasons))),
            "Try other --runtimes, or export the network differently.",
        )


def _feasibility(setup: Setup, trials: Trials) -> Feasibility:
    probes = {
        t.name: point.value_ms
        for t in trials.all.values()
        if t.latency is not None
        and (point := t.latency.at(50.0)) is not None
        and (
            answers_right(t) or not is_untouched(t)
        )  # one that computes something else says nothing
    }
    return assess(
        setup.contract,
        macs=setup.macs,
        parameters=setup.parameters,
        ceilings=setup.machine.ceilings,
        probes_ms=probes,
    )
